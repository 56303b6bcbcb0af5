//! The agents of a Site.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Toleration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wovenet_config::tunnel::{CHANNELS_PER_SITE_DEFAULT, CHANNELS_PER_SITE_MAX};

use crate::quantity::Resources;
use crate::schema;

/// How long an agent that is told to stop lets streams finish, in seconds.
pub const DRAIN_SECONDS_DEFAULT: u32 = 30;
/// The longest drain, in seconds.
pub const DRAIN_SECONDS_MAX: u32 = 3_600;

/// Where agents run and what they need.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Agents {
    /// Labels of the nodes that get an agent. Default: every Linux node.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::labels")]
    pub node_selector: BTreeMap<String, String>,

    /// Taints that agents tolerate, as in a pod.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::tolerations")]
    pub tolerations: Vec<Toleration>,

    /// Processor time and memory of each agent. Default: small requests and a limit of memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// Image of the agent. Default: the one that the operator was started with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,

    /// Name of the PriorityClass of the agents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,

    /// How long an agent that is told to stop lets open streams finish, in seconds.
    #[serde(default = "drain_seconds")]
    #[schemars(range(max = DRAIN_SECONDS_MAX))]
    pub drain_seconds: u32,

    /// Data channels that each agent keeps to each peer site. More survive the loss of more paths and agents.
    #[serde(default = "channels_per_site")]
    #[schemars(range(min = 1, max = CHANNELS_PER_SITE_MAX))]
    pub channels_per_site: u8,

    /// The least severe level that agents log.
    #[serde(default)]
    pub log_level: LogLevel,
}

impl Default for Agents {
    fn default() -> Self {
        Self {
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            resources: None,
            image: None,
            priority_class_name: None,
            drain_seconds: drain_seconds(),
            channels_per_site: channels_per_site(),
            log_level: LogLevel::default(),
        }
    }
}

fn drain_seconds() -> u32 {
    DRAIN_SECONDS_DEFAULT
}

fn channels_per_site() -> u8 {
    CHANNELS_PER_SITE_DEFAULT
}

/// The least severe level that is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Something was given up.
    Error,
    /// Something is degraded.
    Warn,
    /// Changes that an operator cares about.
    #[default]
    Info,
    /// Decisions.
    Debug,
    /// Steps.
    Trace,
}

impl LogLevel {
    /// Returns the level as it stands in the configuration of an agent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}
