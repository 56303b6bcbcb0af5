//! What the operator saw of a Site.
//!
//! Nothing in here changes at rest, so that nothing is written at rest: round trip times and traffic are metrics of the
//! agents, and are shown by `wovenet-agent status`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wovenet_config::key::SITE_ID_CHARS;
use wovenet_config::name::NAME_MAX_BYTES;

use crate::schema;

/// The most sites that the status lists.
pub const PEERS_MAX: usize = 256;
/// The most endpoints that the status lists.
pub const ENDPOINTS_MAX: usize = 64;

/// What the operator saw of the Site.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SiteStatus {
    /// The generation of the Site that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,

    /// Accepted, ResolvedRefs, Programmed, BrokerConnected (with brokers) and Ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,

    /// How many agents there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agents: Option<AgentCounts>,

    /// Id of this site, as others may list it under `allowedSites`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = SITE_ID_CHARS))]
    pub site_id: Option<String>,

    /// Public key of this site, as others list it under `peers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub public_key: Option<String>,

    /// Where other sites are told to dial, each `address:port`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = ENDPOINTS_MAX), inner(length(max = 262)), extend("x-kubernetes-list-type" = "atomic"))]
    pub endpoints: Vec<String>,

    /// Revision of the configuration that agents are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub revision: Option<i64>,

    /// Whether a channel is up that proved the secondary mesh key only. Once false everywhere, a rotation may go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secondary_key_in_use: Option<bool>,

    /// Connected sites of those known, such as 2/3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub peers_connected: Option<String>,

    /// Known sites, by name. When there are more than can be listed, the connected ones come first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = PEERS_MAX), extend("x-kubernetes-list-type" = "atomic"))]
    pub peers: Vec<PeerStatus>,
}

/// How many agents there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentCounts {
    /// Nodes that should run an agent.
    pub desired: u32,
    /// Agents that are ready.
    pub ready: u32,
    /// Agents that run the version and settings of this generation.
    pub updated: u32,
    /// Ready agents of those wanted, such as 5/5.
    #[schemars(length(max = 32))]
    pub summary: String,
}

impl AgentCounts {
    /// Builds the counts with their summary.
    pub fn new(desired: u32, ready: u32, updated: u32) -> Self {
        Self { desired, ready, updated, summary: format!("{ready}/{desired}") }
    }
}

/// A known site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PeerStatus {
    /// Name of the site.
    #[schemars(length(max = NAME_MAX_BYTES))]
    pub site_name: String,
    /// Id of the site.
    #[schemars(length(max = SITE_ID_CHARS))]
    pub site_id: String,
    /// Whether it can be used: Connected, Connecting, NameConflict when its name belongs to another key, or VersionMismatch when its agents speak no common version of the protocol.
    pub state: PeerState,
    /// Live data channels to it, of all agents.
    pub channels: u32,
}

/// Whether a known site can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum PeerState {
    /// At least one channel is up.
    Connected,
    /// No channel is up; one is being tried, or the site must dial.
    Connecting,
    /// Its name belongs to another key.
    NameConflict,
    /// Its agents speak no version of the tunnel protocol that those of this site speak.
    VersionMismatch,
}
