//! What an agent tells of itself (`GET /api/v1/status`), as far as the operator needs it. Unknown fields are ignored, so
//! that agents of the version before and after are understood.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::known_peers::KnownPeers;

/// An agent that has told nothing for so long is taken out of the EndpointSlices.
pub const SILENT_AFTER: Duration = Duration::from_secs(8);

/// The status of an agent.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Report {
    /// The program's version.
    pub version: String,
    /// The id of its site.
    pub site_id: String,
    /// The public key of its site.
    pub public_key: String,
    /// The revision of the configuration in force.
    pub revision: u64,
    /// Whether it is ready.
    pub ready: bool,
    /// Whether it is going away.
    pub draining: bool,
    /// Where other sites are told to dial it.
    pub endpoints: Vec<String>,
    /// Its tunnel sockets.
    pub tunnel_sockets: Vec<TunnelSocket>,
    /// Its brokers.
    pub brokers: Vec<Broker>,
    /// The sites that it knows.
    pub sites: Vec<RemoteSite>,
    /// Its local sockets.
    pub listeners: Vec<Listener>,
    /// Ids of its mesh keys, the one in use first.
    pub mesh_keys: Vec<String>,
}

/// A tunnel socket of an agent.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TunnelSocket {
    /// As configured.
    pub listen: String,
    /// Why it is not bound.
    pub error: Option<String>,
}

/// A broker of an agent.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Broker {
    /// Its URL without credentials.
    pub url: String,
    /// Whether the agent is connected to it.
    pub connected: bool,
    /// `disconnected`, `tls` or `auth`.
    pub error_class: Option<String>,
    /// Why not.
    pub error: Option<String>,
}

/// A site that an agent knows.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RemoteSite {
    /// Its name.
    pub site_name: String,
    /// Its id.
    pub site_id: String,
    /// `connected`, `connecting`, `nameConflict` or `versionMismatch`.
    pub state: String,
    /// Why no channel could be made.
    pub error: Option<String>,
    /// Its live channels.
    pub channels: Vec<Channel>,
    /// What it lets this site use.
    pub apps: Vec<App>,
}

/// A live channel of an agent.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Channel {
    /// `good`, `doubtful`, `suspect` or `draining`.
    pub state: String,
    /// Ids of the mesh keys that the peer has proven to hold.
    pub mesh_keys: Vec<String>,
}

/// An app of another site.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct App {
    /// Its name.
    pub app_name: String,
    /// Its named ports; empty for an app with one.
    pub ports: Vec<String>,
    /// Whether its user chooses a member of a range.
    pub range: bool,
    /// Whether its site finds it healthy.
    pub healthy: bool,
}

/// A local socket of an agent.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Listener {
    /// As configured.
    pub local_socket: String,
    /// `starting`, `listening` or `failed`.
    pub state: String,
    /// Why it is not bound.
    pub error: Option<String>,
    /// `available`, `unhealthy`, `notExposed` or `noPath`.
    pub provider_state: String,
}

/// What is known of one agent's pod.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// The last report.
    pub report: Option<Arc<Report>>,
    /// What it knows of other sites, as it told last.
    pub peers: Option<Arc<KnownPeers>>,
    /// When it was heard last, be it that nothing changed; from the start when never.
    pub at: Instant,
    /// Why the last push or poll failed.
    pub error: Option<String>,
    /// Why it refused the configuration that was pushed last.
    pub refusal: Option<String>,
}

impl Heard {
    /// Nothing yet, from `at` on.
    pub fn nothing(at: Instant) -> Self {
        Self { report: None, peers: None, at, error: None, refusal: None }
    }

    /// Tells whether the agent was never heard so far, and need not have been yet.
    pub fn is_new(&self, now: Instant) -> bool {
        self.report.is_none() && now.duration_since(self.at) < SILENT_AFTER
    }

    /// Tells whether the agent was heard lately.
    pub fn is_alive(&self, now: Instant) -> bool {
        self.report.is_some() && now.duration_since(self.at) < SILENT_AFTER
    }
}
