//! Who this agent is: the site's key, and the place where it lives.

use std::path::PathBuf;

use wovenet_config::AgentConfig;
use wovenet_config::key::SiteId;
use wovenet_config::name::SiteName;
use wovenet_config::validate::is_node_name;

use crate::peer::store::{Location, Store, StoreError, read_site_key};
use crate::peer::{AgentId, SiteKey};

/// The state directory below the home directory.
const STATE_BELOW_HOME: &str = ".wovenet/state";
/// Tells an agent in a pod the name of its node: its host's name is the pod's. `nodeName` of a configuration comes first.
pub const NODE_NAME_VARIABLE: &str = "WOVENET_NODE_NAME";
/// Where the kernel tells the host's name.
const HOST_NAME_FILE: &str = "/proc/sys/kernel/hostname";

/// What does not change while the agent runs.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The site's key.
    pub key: SiteKey,
    /// The site's id.
    pub site: SiteId,
    /// The site's name.
    pub name: SiteName,
    /// This agent.
    pub agent: AgentId,
    /// The host or node that it runs on.
    pub host: String,
}

impl Identity {
    /// Takes the identity from the state directory, or from the configured key file.
    ///
    /// # Errors
    /// [`StoreError`] when either cannot be used.
    pub fn open(config: &AgentConfig, location: &Location) -> Result<(Self, Store), StoreError> {
        let store = match &config.site_key_file {
            Some(path) => Store::open_with_key(location, read_site_key(path)?)?,
            None => Store::open(location)?,
        };
        let key = store.site_key().clone();
        let told = std::env::var(NODE_NAME_VARIABLE).ok();
        let host =
            config.node_name.clone().or_else(|| told.filter(|name| is_node_name(name))).unwrap_or_else(host_name);
        let identity =
            Self { site: key.site_id(), agent: key.agent_id(&host), key, name: config.site_name.clone(), host };
        Ok((identity, store))
    }

    /// Returns the site's key, also while its agent runs. Makes one when there is none yet.
    ///
    /// # Errors
    /// As [`Identity::open`].
    pub fn site_key(config: &AgentConfig, location: &Location) -> Result<SiteKey, StoreError> {
        let existing = match &config.site_key_file {
            Some(path) => Some(read_site_key(path)?),
            None => Store::existing_site_key(location)?,
        };
        match existing {
            Some(key) => Ok(key),
            None => Ok(Store::open(location)?.site_key().clone()),
        }
    }
}

/// Returns where the agent keeps its state.
pub fn state_location(config: &AgentConfig, ephemeral: bool) -> Location {
    if ephemeral {
        return Location::Ephemeral;
    }
    let below_home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/".into())).join(STATE_BELOW_HOME);
    Location::Directory(config.state_dir.clone().unwrap_or_else(below_home))
}

fn host_name() -> String {
    let name = std::fs::read_to_string(HOST_NAME_FILE).unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "localhost".to_owned() } else { name.to_owned() }
}
