//! The configuration as it is written: the shape that a person's file and the operator's document share.
//!
//! In: JSON or YAML. Out: a [`Document`] whose values are typed but not yet judged; [`crate::validate()`] judges them.
//! Keys are camelCase. Unknown keys are tolerated, so that an older agent understands a newer operator; numbers are wide,
//! so that one out of range is reported together with everything else. Serialised keys come in one fixed order.

pub mod api;
pub mod app;
pub mod message_channel;
pub mod peer;
mod redact;
pub mod text;
pub mod tunnel;

use serde::{Deserialize, Serialize};

pub use api::{BasicAuth, Health, RestfulApi, RestfulApiAuth, RestfulApiLogger, RestfulApiTls};
pub use app::{AppPort, ExposedApp, Provider, RemoteApp};
pub use message_channel::{MessageChannel, Mqtt};
pub use peer::{Peer, Pin};
pub(crate) use redact::redact_url;
pub use text::{DurationText, SecretValue};
pub use tunnel::{Detector, LocalSocket, NodeAddress, StunDetector, Tunnel};

/// The largest document, in bytes.
pub const DOCUMENT_MAX_BYTES: usize = 1 << 20;

/// A whole configuration as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Document {
    /// Counter of the operator's document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// This site's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site_name: Option<String>,
    /// The mesh key or keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crypto: Option<Crypto>,
    /// `SharedKey` or `Pinned`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust: Option<String>,
    /// Log settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logger: Option<Logger>,
    /// How sites find each other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_channel: Option<MessageChannel>,
    /// Tunnel sockets and settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tunnel: Option<Tunnel>,
    /// Sites known by key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<Peer>,
    /// Public keys that are refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub denied_keys: Vec<String>,
    /// Bindings of names that no longer stand.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unpin: Vec<Pin>,
    /// What others may reach.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub local_exposed_apps: Vec<ExposedApp>,
    /// What is used of others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remote_apps: Vec<RemoteApp>,
    /// The REST API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restful_api: Option<RestfulApi>,
    /// Health and metrics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// Where the agent keeps its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_dir: Option<String>,
    /// PEM file with the site key that several agents share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site_key_file: Option<String>,
    /// File with what others knew of peers, read at start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peers_file: Option<String>,
    /// Tells apart the agents of one site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// STUN servers of every socket that names none itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stun: Vec<String>,
}

/// The mesh key, and the second one during a rotation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Crypto {
    /// `wvk1_…` or a passphrase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<SecretValue>,
    /// Accepted too, during a rotation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secondary_key: Option<SecretValue>,
}

/// Log settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Logger {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// `text` or `json`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// A file that is appended to; empty is standard output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// Why a document of the operator could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// More than [`DOCUMENT_MAX_BYTES`].
    #[error("the document has {0} bytes, at most {DOCUMENT_MAX_BYTES} are allowed")]
    TooLarge(usize),
    /// Not UTF-8.
    #[error("the document is not UTF-8 text")]
    Encoding,
    /// Not JSON, or of another shape.
    #[error("cannot read the document as JSON")]
    Json(#[source] serde_json::Error),
    /// Not YAML, or of another shape.
    #[error("cannot read the document as YAML")]
    Yaml(#[source] serde_yaml::Error),
}

impl Document {
    /// Reads a document written by a program: JSON when it starts with `{`, else YAML; types are strict.
    ///
    /// # Errors
    /// [`DocumentError`] when it is too large, malformed or of another shape.
    pub fn read(bytes: &[u8]) -> Result<Self, DocumentError> {
        if bytes.len() > DOCUMENT_MAX_BYTES {
            return Err(DocumentError::TooLarge(bytes.len()));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| DocumentError::Encoding)?;
        match text.trim_start().starts_with('{') {
            true => serde_json::from_str(text).map_err(DocumentError::Json),
            false => serde_yaml::from_str(text).map_err(DocumentError::Yaml),
        }
    }
}
