//! Metrics of tunnels. Per-channel figures are sampled, never touched per packet.

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};

use crate::tunnel::collector::Ends;
use crate::tunnel::handshake::HandshakeError;

/// Buckets of the time to an accepted channel, in seconds.
const HANDSHAKE_BUCKETS: [f64; 9] = [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// Metrics of tunnels, all with the prefix `wovenet_agent_`.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    pub(super) connects: IntCounterVec,
    pub(super) handshake_seconds: HistogramVec,
    pub(super) handshakes: IntCounterVec,
    pub(super) channels_ended: IntCounterVec,
    pub(super) udp_buffer: IntGaugeVec,
    pub(super) ends: Ends,
}

impl Metrics {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let metric = IntCounterVec::new(Opts::new(format!("wovenet_agent_{name}"), help), labels)?;
            registry.register(Box::new(metric.clone()))?;
            prometheus::Result::Ok(metric)
        };
        let handshake_seconds = HistogramVec::new(
            HistogramOpts::new(
                "wovenet_agent_tunnel_handshake_duration_seconds",
                "Time from the start of a connection to the accepted channel, when it is accepted.",
            )
            .buckets(HANDSHAKE_BUCKETS.to_vec()),
            &["role"],
        )?;
        registry.register(Box::new(handshake_seconds.clone()))?;
        let udp_buffer = IntGaugeVec::new(
            Opts::new(
                "wovenet_agent_udp_receive_buffer_bytes",
                "Receive buffer of the tunnel sockets as granted by the system; the smallest of each kind.",
            ),
            &["socket"],
        )?;
        registry.register(Box::new(udp_buffer.clone()))?;
        Ok(Self {
            connects: counter(
                "tunnel_connects_total",
                "Attempts to make a channel that ended, by role and result class.",
                &["role", "result"],
            )?,
            handshake_seconds,
            handshakes: counter(
                "endpoint_handshakes_total",
                "Handshakes that reached a tunnel socket, by what was done first.",
                &["result"],
            )?,
            channels_ended: counter("tunnel_channels_ended_total", "Channels that ended, by reason.", &["reason"])?,
            udp_buffer,
            ends: Ends::default(),
        })
    }

    pub(super) fn failed(&self, role: &str, error: &HandshakeError) {
        self.connects.with_label_values(&[role, error.class()]).inc();
    }
}
