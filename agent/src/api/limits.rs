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
    /// Connections of one client address at once; further ones are closed.
    pub per_address: usize,
    /// From the first packet to the end of the TLS handshake.
    pub handshake: Duration,
    /// From the end of the handshake, or of the last response, to the end of the next request's headers.
    pub header: Duration,
    /// The largest request head, in bytes.
    pub head_bytes: usize,
    /// How long a client may take nothing of what it is sent.
    pub write: Duration,
    /// Whether a client may ask again on its connection.
    pub keep_alive: bool,
    /// After this long a connection is closed at the end of its request.
    pub age: Duration,
    /// How long a request that began before [`Limits::age`] may still take.
    pub last_request: Duration,
    /// How long a request may still take after the server was asked to end.
    pub grace: Duration,
}

impl Limits {
    /// The limits of the REST API.
    pub const API: Self = Self {
        connections: 256,
        per_address: 64,
        handshake: Duration::from_secs(5),
        header: Duration::from_secs(10),
        head_bytes: 32 << 10,
        write: Duration::from_secs(10),
        keep_alive: true,
        age: Duration::from_secs(15 * 60),
        // A body, a long poll, and some time to answer.
        last_request: BODY_TIMEOUT.saturating_add(WAIT_MAX),
        grace: Duration::from_secs(5),
    };
    /// The limits of the health and metrics port. It is open to anyone: nobody may keep a probe of Kubernetes out, so a
    /// connection serves one request and ends within 40 s whatever its client does.
    pub const HEALTH: Self = Self {
        connections: 64,
        per_address: 16,
        keep_alive: false,
        age: Duration::from_secs(30),
        last_request: Duration::from_secs(10),
        grace: Duration::from_secs(1),
        ..Self::API
    };
}
