//! Gauges by site, of what its channels are now.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus::core::Collector;
use prometheus::{GaugeVec, Opts};

use crate::tunnel::channel::{Channel, Health};

/// Set anew at each scrape: [`Gauges::begin`], then each channel once.
pub(super) struct Gauges {
    channels: GaugeVec,
    streams: GaugeVec,
    round_trip: GaugeVec,
    min_round_trip: GaugeVec,
    established: GaugeVec,
    window: GaugeVec,
    mtu: GaugeVec,
    apps: GaugeVec,
}

impl Gauges {
    pub(super) fn new() -> prometheus::Result<Self> {
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            GaugeVec::new(Opts::new(format!("wovenet_agent_{name}"), help), labels)
        };
        let of_site = |name: &str, help: &str| gauge(name, help, &["remote_site"]);
        Ok(Self {
            channels: gauge(
                "tunnel_channels",
                "Live data channels by peer site and state (good, doubtful, suspect, draining).",
                &["remote_site", "state"],
            )?,
            streams: of_site("tunnel_streams_open", "Streams open now, both ways.")?,
            round_trip: of_site(
                "tunnel_rtt_seconds",
                "Round trip time of the best channel, as estimated from acknowledgements.",
            )?,
            min_round_trip: of_site(
                "tunnel_min_rtt_seconds",
                "Shortest round trip time of a live channel that a scrape has seen.",
            )?,
            established: of_site(
                "tunnel_established_timestamp_seconds",
                "When the oldest live channel came up, as seconds since 1970.",
            )?,
            window: of_site("tunnel_cwnd_bytes", "Sum of the congestion windows of all channels.")?,
            mtu: of_site("tunnel_mtu_bytes", "Smallest path MTU in use; falls when a path drops large packets.")?,
            apps: gauge(
                "discovery_apps",
                "Apps that connected sites let this one use, by whether they are healthy.",
                &["state"],
            )?,
        })
    }

    pub(super) fn collectors(&self) -> [&dyn Collector; 8] {
        [
            &self.channels,
            &self.streams,
            &self.round_trip,
            &self.min_round_trip,
            &self.established,
            &self.window,
            &self.mtu,
            &self.apps,
        ]
    }

    /// Drops what was before, and counts the apps of all connected sites, each once.
    pub(super) fn begin(&self, channels: &[Arc<Channel>]) {
        let of_sites = [&self.channels, &self.streams, &self.round_trip, &self.min_round_trip];
        of_sites.into_iter().chain([&self.established, &self.window, &self.mtu]).for_each(|gauge| gauge.reset());
        let of_channel = |channel: &Arc<Channel>| {
            let site = channel.peer().site;
            let apps = channel.catalogue().unwrap_or_default().into_iter();
            apps.map(move |(app, entry)| ((site, app), entry.healthy)).collect::<Vec<_>>()
        };
        let apps: BTreeMap<_, bool> = channels.iter().flat_map(of_channel).collect();
        let healthy = apps.values().filter(|healthy| **healthy).count();
        self.apps.with_label_values(&["healthy"]).set(healthy as f64);
        self.apps.with_label_values(&["unhealthy"]).set((apps.len() - healthy) as f64);
    }

    /// Adds a channel to its site.
    pub(super) fn add(&self, channel: &Channel, min_round_trip: Duration) {
        let (site, stats) = (channel.peer().name.as_str(), channel.stats());
        let state = match (channel.is_draining(), channel.health()) {
            (true, _) => "draining",
            (false, Health::Good) => "good",
            (false, Health::Doubtful) => "doubtful",
            (false, Health::Suspect) => "suspect",
        };
        self.channels.with_label_values(&[site, state]).inc();
        self.streams.with_label_values(&[site]).add(channel.active_streams() as f64);
        self.window.with_label_values(&[site]).add(stats.path.cwnd as f64);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let since = now.saturating_sub(channel.since().elapsed());
        smallest(&self.round_trip, site, channel.round_trip().as_secs_f64());
        smallest(&self.min_round_trip, site, min_round_trip.as_secs_f64());
        smallest(&self.established, site, since.as_secs_f64());
        smallest(&self.mtu, site, f64::from(stats.path.current_mtu));
    }
}

/// Lowers a gauge; 0 is what it begins with.
fn smallest(gauge: &GaugeVec, site: &str, value: f64) {
    let gauge = gauge.with_label_values(&[site]);
    if gauge.get() == 0.0 || value < gauge.get() {
        gauge.set(value);
    }
}
