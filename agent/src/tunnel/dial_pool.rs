//! The sockets that are dialled from: one for each shard, and a fresh one for each dial to a site-scoped address, as the
//! same pair of addresses always meets the same backend, or whose pooled socket gets no answer.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use wovenet_config::tunnel::Scope;

use crate::tunnel::endpoint::{Endpoint, EndpointError, EndpointSettings};
use crate::tunnel::metrics::Metrics;
use crate::tunnel::shard::Shard;

/// Sockets to dial from. They are bound to no address, so they follow the host through changes of its network.
pub(super) struct DialPool {
    pub(super) settings: EndpointSettings,
    metrics: Metrics,
    endpoints: Mutex<BTreeMap<usize, Endpoint>>,
}

impl DialPool {
    pub(super) fn new(settings: EndpointSettings, metrics: Metrics) -> Self {
        Self { settings, metrics, endpoints: Mutex::default() }
    }

    /// Returns a socket of `shard`.
    pub(super) fn endpoint(&self, scope: Scope, shard: &Shard) -> Result<Endpoint, EndpointError> {
        if scope == Scope::Site {
            return self.fresh(shard);
        }
        let mut endpoints = self.endpoints.lock();
        if let Some(endpoint) = endpoints.get(&shard.index) {
            return Ok(endpoint.clone());
        }
        let endpoint = self.settings.dial(shard.runtime.clone())?;
        let granted = i64::try_from(endpoint.granted_receive_buffer).unwrap_or(i64::MAX);
        self.metrics.udp_buffer.with_label_values(&["dial"]).set(granted);
        endpoints.insert(shard.index, endpoint.clone());
        Ok(endpoint)
    }

    /// Returns a socket of `shard` on a port that nothing was sent from.
    pub(super) fn fresh(&self, shard: &Shard) -> Result<Endpoint, EndpointError> {
        self.settings.dial(shard.runtime.clone())
    }

    /// Waits until every connection of the pooled sockets has told its peer of its end.
    pub(super) async fn wait_idle(&self) {
        let endpoints: Vec<Endpoint> = self.endpoints.lock().values().cloned().collect();
        for endpoint in endpoints {
            endpoint.quic.wait_idle().await;
        }
    }
}
