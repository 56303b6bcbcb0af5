//! The whole configuration of one agent, validated.

use std::path::PathBuf;

use crate::api::{Api, Health};
use crate::app::{ExposedApp, RemoteApp};
use crate::key::{MeshKeyText, PublicKey};
use crate::logger::Logger;
use crate::message_channel::Mqtt;
use crate::name::SiteName;
use crate::peer::{Peer, Pin, Trust};
use crate::tunnel::Tunnel;

/// Everything an agent obeys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentConfig {
    /// Counter of the operator's document; 0 in a person's file.
    pub revision: u64,
    /// This site's name.
    pub site_name: SiteName,
    /// The mesh key, and the second one during a rotation.
    pub keys: MeshKeys,
    /// Log settings.
    pub logger: Logger,
    /// Brokers; `None` when only static peers are used.
    pub mqtt: Option<Mqtt>,
    /// Tunnel sockets and settings.
    pub tunnel: Tunnel,
    /// Peers known by key.
    pub peers: Vec<Peer>,
    /// Keys that are refused whatever else is true.
    pub denied_keys: Vec<PublicKey>,
    /// Bindings of names that no longer stand.
    pub unpin: Vec<Pin>,
    /// Which keys may join.
    pub trust: Trust,
    /// What others may reach, by unique name.
    pub exposed_apps: Vec<ExposedApp>,
    /// What is used of others.
    pub remote_apps: Vec<RemoteApp>,
    /// The REST API, when enabled.
    pub api: Option<Api>,
    /// Health and metrics, when enabled.
    pub health: Option<Health>,
    /// Where the agent keeps its state; `None` is `$HOME/.wovenet/state`.
    pub state_dir: Option<PathBuf>,
    /// PEM file with the site key, when several agents share one; `None` is a key of its own in the state directory.
    pub site_key_file: Option<PathBuf>,
    /// File with what others knew of peers, read at start; it may be missing.
    pub peers_file: Option<PathBuf>,
    /// Tells apart the agents of one site; `None` is the name of the host.
    pub node_name: Option<String>,
}

/// The one or two keys of a mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeshKeys {
    /// The key in use.
    pub primary: MeshKeyText,
    /// Accepted too, during a rotation.
    pub secondary: Option<MeshKeyText>,
}
