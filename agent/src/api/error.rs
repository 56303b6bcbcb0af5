//! Why the API, or the health port, could not start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use rustls::pki_types::pem;

use wovenet_identity::tls::TlsError;

/// Why a server of the API did not start. Tunnels do not need it: report, go on, and try again later.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The configured address.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// A file cannot be read, or the access log not opened.
    #[error("cannot open {path}: {source}")]
    File {
        /// The configured path.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("cannot read {path} as PEM: {source}")]
    Pem {
        /// The configured path.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// Certificate and private key do not make a TLS server.
    #[error("cannot serve TLS with {certificate} and {key}: {source}")]
    Certificate {
        /// The certificate file.
        certificate: PathBuf,
        /// The private key file.
        key: PathBuf,
        /// The library's reason.
        source: rustls::Error,
    },
    /// The site's API key cannot be used.
    #[error("cannot use the site's API key for the operator: {0}")]
    OperatorTls(#[from] TlsError),
    /// `operatorKey` is configured, but this site has no API key.
    #[error("restfulApi.auth.operatorKey needs the site's API key, and there is none")]
    NoIdentity,
    /// The system gave no thread or no event queue.
    #[error("cannot start a thread for the health port: {0}")]
    Thread(#[source] io::Error),
}
