//! How sites find each other, as written.

use serde::{Deserialize, Serialize};

use super::text::{SecretValue, one_or_many};

/// The message channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MessageChannel {
    /// `mqtt`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// The brokers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mqtt: Option<Mqtt>,
}

/// Brokers and topic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Mqtt {
    /// URLs, which may hold credentials; one or a list.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "one_or_many")]
    pub broker_server: Vec<SecretValue>,
    /// Base topic without wildcards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// User name for brokers whose URL has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Password for brokers whose URL has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretValue>,
    /// PEM file with the certificate authorities to trust.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
}
