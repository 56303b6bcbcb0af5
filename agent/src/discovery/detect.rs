//! Asks others for this agent's public address.

pub mod http;
pub mod stun;

use std::time::Duration;

/// From the first packet to the answer, over all retries, redirects and servers.
pub const DETECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the public address could not be detected.
#[derive(Debug, thiserror::Error)]
pub enum DetectError {
    /// No answer in time.
    #[error("no answer within {} s", DETECT_TIMEOUT.as_secs())]
    Timeout,
    /// The network failed.
    #[error("cannot ask: {0}")]
    Network(#[from] std::io::Error),
    /// TLS cannot be used.
    #[error("cannot use TLS: {0}")]
    Tls(String),
    /// HTTP failed.
    #[error("HTTP failed: {0}")]
    Http(#[from] hyper::Error),
    /// A URL that cannot be asked.
    #[error("cannot use the URL: {0}")]
    Url(String),
    /// Another status than 200.
    #[error("answered with status {0}")]
    Status(u16),
    /// Redirects without end.
    #[error("redirected too often")]
    Redirects,
    /// Longer than an address.
    #[error("answered with more than an address")]
    TooLong,
    /// Not an address.
    #[error("answered with something else than an address")]
    NoAddress,
    /// No server was named, or none answered properly.
    #[error("no STUN server answered properly")]
    NoServer,
}
