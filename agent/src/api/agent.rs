//! The seam between the API and the agent behind it.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;
use wovenet_config::{Document, Problem};

use crate::tunnel::status::SiteStatus;

/// Where a configuration comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The file that the agent was started with: a person's, or the mounted document of the operator.
    File,
    /// Pushed by the operator; has a revision.
    Operator,
    /// Changed by a person over the API; kept in the state directory.
    Person,
}

/// What a configuration led to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Applied {
    /// The revision in force.
    pub revision: u64,
    /// What each local socket of a remote app did.
    pub listeners: Vec<ListenerStatus>,
    /// Warnings, one line each.
    pub warnings: Vec<String>,
}

impl Applied {
    /// Adds what the one who asked should look at.
    pub(super) fn warned(mut self, warnings: Vec<String>) -> Self {
        self.warnings.extend(warnings);
        self
    }
}

/// Why a configuration was not taken. The running one stays.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The document is wrong; every problem is listed.
    #[error("the configuration has {} problem(s)", .0.len())]
    Invalid(Vec<Problem>),
    /// An older revision than the one in force.
    #[error("revision {offered} is older than revision {current}, which is in force")]
    Outdated {
        /// The revision in force.
        current: u64,
        /// The revision that was offered.
        offered: u64,
    },
    /// A part that only a new start can change, such as the site's name.
    #[error("{0}")]
    NeedsRestart(String),
    /// Something else failed.
    #[error("cannot apply the configuration: {0}")]
    Failed(String),
}

/// A local socket of a remote app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListenerStatus {
    /// The remote app's first provider, `site/app`.
    pub app: String,
    /// The local socket as configured.
    pub local_socket: String,
    /// The local socket as bound; absent while it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound: Option<String>,
    /// `starting`, `listening` or `failed`.
    pub state: &'static str,
    /// Why it is not bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// `available`, `unhealthy`, `notExposed` or `noPath`: the best provider's state.
    pub provider_state: &'static str,
}

/// A broker of the message channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BrokerStatus {
    /// Its URL without credentials.
    pub url: String,
    /// Whether the agent is connected to it.
    pub connected: bool,
    /// What kind of error: `disconnected`, `tls` or `auth`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_class: Option<&'static str>,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A tunnel socket that other sites dial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TunnelSocketStatus {
    /// As configured.
    pub listen: String,
    /// As bound; absent while it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound: Option<String>,
    /// Why it is not bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Streams and bytes of one app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppTraffic {
    /// The app's name; `site/app` for a remote app.
    pub app: String,
    /// `exposed` or `remote`.
    pub role: &'static str,
    /// Streams open now.
    pub streams: usize,
    /// Bytes that came out of tunnels.
    pub received_bytes: u64,
    /// Bytes that went into tunnels.
    pub sent_bytes: u64,
}

/// Everything that an agent tells of itself.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The program's version.
    pub version: &'static str,
    /// This site's name.
    pub site_name: String,
    /// This site's id.
    pub site_id: String,
    /// This site's public key, to be listed under `peers` of others.
    pub public_key: String,
    /// This agent's id.
    pub agent: String,
    /// The revision of the configuration in force.
    pub revision: u64,
    /// Whether the agent is ready, as `/readyz` tells.
    pub ready: bool,
    /// Whether the agent is going away.
    pub draining: bool,
    /// Where other sites are told to dial this agent, `address:port`.
    pub endpoints: Vec<String>,
    /// Tunnel sockets.
    pub tunnel_sockets: Vec<TunnelSocketStatus>,
    /// Brokers; empty without a message channel.
    pub brokers: Vec<BrokerStatus>,
    /// Known sites and their channels.
    pub sites: Vec<SiteStatus>,
    /// Local sockets of remote apps.
    pub listeners: Vec<ListenerStatus>,
    /// Traffic by app.
    pub traffic: Vec<AppTraffic>,
    /// Ids of this site's mesh keys, the one in use first.
    pub mesh_keys: Vec<String>,
    /// What a person should look at, one line each.
    pub warnings: Vec<String>,
}

/// What the API needs of an agent.
pub trait Agent: Send + Sync + 'static {
    /// Returns the configuration in force, secrets included.
    fn document(&self) -> Arc<Document>;

    /// Validates a configuration as a whole and applies what differs.
    fn apply(&self, document: Document, origin: Origin) -> BoxFuture<'static, Result<Applied, ApplyError>>;

    /// Returns the state of everything.
    fn status(&self) -> Status;

    /// Returns what is known of peers, as [`crate::peer::SavedPeers`].
    fn known_peers(&self) -> Vec<u8>;

    /// Counts changes of [`Agent::status`] that matter: channels, listeners, brokers, configuration; not traffic.
    fn changes(&self) -> watch::Receiver<u64>;

    /// Tells whether the agent is ready: configuration applied, sockets bound, and channels once had or 15 s gone by.
    fn ready(&self) -> bool;
}
