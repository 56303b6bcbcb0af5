//! The log of connections that were not accepted, limited so that a stranger cannot flood the disk.

use std::net::{IpAddr, SocketAddr};

use tokio_util::sync::CancellationToken;

use crate::limited_log::LimitedLog;
use crate::tunnel::handshake::HandshakeError;

/// The most addresses, roles and causes that are told apart; further ones are only counted by the metric.
const KEYS_MAX: usize = 256;

/// Writes the log. One line a second of each address, role and cause.
#[derive(Debug)]
pub(super) struct Refusals {
    log: LimitedLog<(IpAddr, &'static str, &'static str), Refusal>,
}

#[derive(Debug)]
struct Refusal {
    remote: SocketAddr,
    role: &'static str,
    cause: &'static str,
    error: String,
}

impl Refusals {
    pub(super) fn new() -> Self {
        Self { log: LimitedLog::new(KEYS_MAX, write) }
    }

    /// Tells of a connection that was not accepted. `role` is what this agent is in it.
    pub(super) fn note(&self, remote: SocketAddr, role: &'static str, error: &HandshakeError) {
        let cause = error.class();
        let key = (remote.ip().to_canonical(), role, cause);
        self.log.line(key, || Refusal { remote, role, cause, error: error.to_string() });
    }

    /// Writes what was held back, until `stop`.
    pub(super) async fn run(&self, stop: CancellationToken) {
        self.log.run(stop).await;
    }
}

fn write(refusal: &Refusal, suppressed: u64) {
    let Refusal { remote, role, cause, error } = refusal;
    tracing::info!(remote_addr = %remote, role, cause, error, suppressed, "connection not accepted");
}
