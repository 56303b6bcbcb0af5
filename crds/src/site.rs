//! Site: one membership of this cluster in one mesh.

pub mod agents;
pub mod allowed_namespaces;
pub mod expose;
pub mod listener_ports;
pub mod message_channel;
pub mod peer;
pub mod permissions;
mod rules;
pub mod status;

use kube::{CustomResource, KubeSchema, ResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wovenet_config::name::NAME_MAX_BYTES;

use crate::condition::ConditionType;
use crate::reference::SecretReference;

pub use agents::{Agents, LogLevel};
pub use allowed_namespaces::{AllowedNamespaces, From};
pub use expose::{Detect, Expose, ExposeType};
pub use listener_ports::ListenerPorts;
pub use message_channel::{MessageChannel, Mqtt};
pub use peer::Peer;
pub use permissions::Permissions;
pub use status::{AgentCounts, PeerState, PeerStatus, SiteStatus};

/// The longest name of a Site object: DaemonSets, Services and Secrets are named after it.
pub const OBJECT_NAME_MAX: usize = 40;
/// The most ways in which one Site is reached.
pub const EXPOSE_MAX: usize = 8;
/// The most peers of one Site. The agent takes more, but an object of Kubernetes has its limits.
pub const PEERS_MAX: usize = 256;
/// The most denied keys of one Site.
pub const DENIED_KEYS_MAX: usize = 256;

/// The key of the Secret of `keySecretRef` that holds the mesh key in use.
pub const PRIMARY_KEY: &str = "primary";
/// The key of the Secret of `keySecretRef` that holds the other mesh key during a rotation.
pub const SECONDARY_KEY: &str = "secondary";

/// One membership of this cluster in one mesh.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "wovenet.io",
    version = "v1alpha1",
    kind = "Site",
    plural = "sites",
    shortname = "wsite",
    category = "wovenet",
    namespaced,
    status = "SiteStatus",
    derive = "PartialEq",
    doc = "Site is one membership of this cluster in one mesh. It lives in the namespace of the operator.",
    printcolumn(
        name = "Agents",
        type_ = "string",
        json_path = ".status.agents.summary",
        description = "Ready agents of those wanted."
    ),
    printcolumn(
        name = "Peers",
        type_ = "string",
        json_path = ".status.peersConnected",
        description = "Connected sites of those known."
    ),
    printcolumn(
        name = "Broker",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"BrokerConnected\")].status",
        description = "Whether a broker is connected; empty without brokers."
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether the Site works."
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "Why it does not."
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1,
        description = "What to do about it."
    ),
    printcolumn(
        name = "Site-Id",
        type_ = "string",
        json_path = ".status.siteId",
        priority = 1,
        description = "The id of this site, as others list it under allowedSites."
    ),
    validation = rules::object_name(),
    validation = rules::site_name(),
    validation = rules::peers()
)]
#[x_kube(
    validation = Rule::new("has(self.messageChannel) || (has(self.peers) && self.peers.size() > 0)")
        .message("messageChannel is required unless peers are listed: other sites cannot be found otherwise"),
    validation = Rule::new("self.trust != 'Pinned' || (has(self.peers) && self.peers.size() > 0)")
        .message("trust Pinned needs peers: without them no site could join"),
)]
pub struct SiteSpec {
    /// Name of this site in its mesh, unique there. Default: the name of this object. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_MAX_BYTES))]
    pub site_name: Option<String>,

    /// Secret with the mesh key under `primary`, and during a rotation the other one under `secondary`. Both are output
    /// of `wovenet-agent keygen`.
    pub key_secret_ref: SecretReference,

    /// How sites find each other. Optional when `peers` are listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_channel: Option<MessageChannel>,

    /// How other sites reach the tunnel port of the agents. Empty: this site only dials.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = EXPOSE_MAX), extend("x-kubernetes-list-type" = "atomic"))]
    pub expose: Vec<Expose>,

    /// The agents of this Site: one DaemonSet.
    #[serde(default)]
    pub agents: Agents,

    /// Ports on which agents listen for RemoteApps, in the pod network. Each port of a RemoteApp takes one.
    #[serde(default)]
    pub listener_ports: ListenerPorts,

    /// Namespaces whose ExposedApps and RemoteApps may attach.
    #[serde(default)]
    pub allowed_namespaces: AllowedNamespaces,

    /// What apps may target beyond Services of their own namespace. Default: nothing.
    #[serde(default)]
    pub permissions: Permissions,

    /// Sites known beforehand by their public key, with or without addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = PEERS_MAX))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["siteName".into()]))]
    #[x_kube(validation = Rule::new("self.all(p, self.exists_one(q, q.publicKey == p.publicKey))")
        .message("peers must have different publicKeys: one key is one site"))]
    pub peers: Vec<Peer>,

    /// Public keys (`wvp1_…`) that are refused whatever else is true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = DENIED_KEYS_MAX), inner(length(max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[x_kube(validation = Rule::new("self.all(k, k.matches('^wvp1_[a-z2-7]{58}$'))")
        .message("deniedKeys must be public keys, wvp1_ and 58 characters, as a site shows in its status"))]
    pub denied_keys: Vec<String>,

    /// Which sites may join. SharedKey: any that proves the mesh key, and a name is bound to the first public key seen.
    /// Pinned: only those listed under `peers`.
    #[serde(default)]
    pub trust: Trust,
}

/// Which sites may join.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Trust {
    /// Any site that proves the mesh key.
    #[default]
    SharedKey,
    /// Only the sites listed under `peers`.
    Pinned,
}

impl Site {
    /// What must be true for Ready.
    pub const READY_NEEDS: &'static [ConditionType] =
        &[ConditionType::Accepted, ConditionType::ResolvedRefs, ConditionType::Programmed];

    /// Returns the name of this site in its mesh.
    pub fn site_name(&self) -> String {
        self.spec.site_name.clone().unwrap_or_else(|| self.name_any())
    }
}
