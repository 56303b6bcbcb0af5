//! The REST API, health and metrics, as written.

use serde::{Deserialize, Serialize};

use super::text::SecretValue;

/// The REST API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RestfulApi {
    /// Whether it is served; default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// `host:port` or `:port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen_addr: Option<String>,
    /// Its access log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logger: Option<RestfulApiLogger>,
    /// Its certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<RestfulApiTls>,
    /// Who may use it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<RestfulApiAuth>,
}

/// Access log of the REST API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RestfulApiLogger {
    /// A file that is appended to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// Certificate of the REST API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RestfulApiTls {
    /// Whether HTTPS is served; default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// PEM file with the private key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// PEM file with the certificate chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<String>,
}

/// Who may use the REST API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RestfulApiAuth {
    /// Users with passwords.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub basic_auth: Vec<BasicAuth>,
    /// Tokens.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bearer_tokens: Vec<SecretValue>,
    /// The public key of the operator, which may push configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator_key: Option<String>,
}

/// A user of the REST API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BasicAuth {
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretValue>,
}

/// Health and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Health {
    /// Whether they are served; default true where the section is present.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// `host:port` or `:port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen_addr: Option<String>,
}
