//! What one client, and all clients together, may cost.

use std::time::Duration;

use wovenet_config::document::DOCUMENT_MAX_BYTES;

/// The largest request body, in bytes: the largest document.
pub(super) const BODY_MAX_BYTES: usize = DOCUMENT_MAX_BYTES;
/// How long a client may take to send a request body.
pub(super) const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest a long poll waits for a change.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(60);

/// Limits of one server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connections at once; further ones wait in the system's queue.
    pub connections: usize,
    /// From the first packet to the end of the TLS handshake.
    pub handshake: Duration,
    /// From the end of the handshake, or of the last response, to the end of the next request's headers.
    pub header: Duration,
    /// The largest request head, in bytes.
    pub head_bytes: usize,
    /// After this long a connection is closed at the end of its request.
    pub age: Duration,
    /// How long a request may still take after the connection was asked to end.
    pub grace: Duration,
}

impl Limits {
    /// The limits of the REST API.
    pub const API: Self = Self {
        connections: 256,
        handshake: Duration::from_secs(5),
        header: Duration::from_secs(10),
        head_bytes: 32 << 10,
        age: Duration::from_secs(15 * 60),
        grace: Duration::from_secs(5),
    };
    /// The limits of the health and metrics port.
    pub const HEALTH: Self = Self { connections: 64, grace: Duration::from_secs(1), ..Self::API };
}
