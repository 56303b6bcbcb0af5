//! The REST API, and the separate port for health and metrics.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::key::PublicKey;
use crate::secret::SecretText;

/// The port of the REST API when the address names none.
pub const API_PORT: u16 = 9443;
/// Where health and metrics are served when the document does not say.
pub const HEALTH_PORT: u16 = 9090;

/// Settings of the REST API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// Where it listens; loopback only when there are no credentials.
    pub listen: SocketAddr,
    /// Access log; `None` is the agent's own log.
    pub log_file: Option<PathBuf>,
    /// Certificate chain and key, PEM; `None` is plain HTTP.
    pub tls: Option<ApiTls>,
    /// People who may use it by HTTP basic auth (RFC 7617).
    pub users: Vec<(String, SecretText)>,
    /// Bearer tokens (RFC 6750).
    pub tokens: Vec<SecretText>,
    /// The operator's key: mutual TLS with raw public keys, may push configuration.
    pub operator_key: Option<PublicKey>,
}

/// Certificate files of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiTls {
    /// PEM file with the private key.
    pub key: PathBuf,
    /// PEM file with the certificate chain.
    pub certificate: PathBuf,
}

/// Where `/livez`, `/readyz` and `/metrics` are served; `None` in the configuration turns them off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// The listening address.
    pub listen: SocketAddr,
}
