//! Tunnel sockets and settings, as written.

use serde::{Deserialize, Serialize};

use super::text::SecretValue;

/// Tunnel sockets and settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Tunnel {
    /// Sockets that other sites can dial.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub local_sockets: Vec<LocalSocket>,
    /// Live channels kept to each peer site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels_per_site: Option<u64>,
    /// `model` (the default), `cubic` or `bbr`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub congestion_control: Option<String>,
    /// Threads that drive tunnels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<u64>,
}

/// One socket that other sites dial.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LocalSocket {
    /// `dedicated-address` or `port-forwarding`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// `quic`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport_protocol: Option<String>,
    /// An IP address, `autoHttpDetect` or `autoStunDetect`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_address: Option<String>,
    /// The port that other sites dial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_port: Option<u64>,
    /// The IP address to bind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen_address: Option<String>,
    /// The port to bind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen_port: Option<u64>,
    /// Needed by `autoHttpDetect`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_detector: Option<Detector>,
    /// Servers for `autoStunDetect`; else the list `stun`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stun_detector: Option<StunDetector>,
    /// Instead of `publicAddress`: the IP address of each node.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub node_addresses: Vec<NodeAddress>,
    /// `agent` or `site`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

/// The address of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeAddress {
    /// The node, as in `nodeName`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// Its IP address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// A web page that answers with the address of its caller.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Detector {
    /// Its URL, which may hold credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<SecretValue>,
}

/// STUN servers that answer with the address of their caller.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StunDetector {
    /// Each `host:port`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<String>,
}
