//! Per-site metrics of channels, read from the library's own counts when they are asked for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{CounterVec, GaugeVec, IntCounterVec, Opts};

use crate::tunnel::channel::{Channel, ChannelId};
use crate::tunnel::control::End;
use crate::tunnel::registry::Registry;

/// The most sites whose counters are kept. Peers choose their names; of more, the ones that are gone for longest are dropped.
pub const COUNTED_SITES_MAX: usize = 1_024;

/// The most ends of channels, by site and reason, that wait for a scrape; more are not counted.
const ENDS_MAX: usize = 4 * COUNTED_SITES_MAX;

/// Ends of channels since the last scrape, by site and reason.
#[derive(Clone, Debug, Default)]
pub(super) struct Ends(Arc<Mutex<BTreeMap<(String, &'static str), u64>>>);

impl Ends {
    pub(super) fn note(&self, site: &str, reason: &'static str) {
        let mut ends = self.0.lock();
        let key = (site.to_owned(), reason);
        if ends.len() < ENDS_MAX || ends.contains_key(&key) {
            *ends.entry(key).or_default() += 1;
        }
    }
}

/// What a channel had counted when it was last looked at.
#[derive(Clone, Copy, Default)]
struct Counts {
    sent_packets: u64,
    lost_packets: u64,
    lost_bytes: u64,
    congestion_events: u64,
    black_holes: u64,
    sent_bytes: u64,
    received_bytes: u64,
    sent_datagrams: u64,
    received_datagrams: u64,
    blocked: u64,
    streams_blocked: u64,
    /// The shortest round trip at any scrape.
    min_round_trip: Option<Duration>,
}

/// Collects at each scrape: gauges anew, counters by what was added since the last scrape.
pub(super) struct ChannelCollector {
    registry: Registry,
    channels: GaugeVec,
    streams: GaugeVec,
    round_trip: GaugeVec,
    min_round_trip: GaugeVec,
    established: GaugeVec,
    window: GaugeVec,
    mtu: GaugeVec,
    apps: GaugeVec,
    packets: IntCounterVec,
    bytes: IntCounterVec,
    datagrams: IntCounterVec,
    blocked: IntCounterVec,
    reconnects: IntCounterVec,
    events: CounterVec,
    ends: Ends,
    seen: Mutex<BTreeMap<ChannelId, Counts>>,
    counted: Mutex<CountedSites>,
}

/// The sites that have counters, and at which scrape each last had a channel.
#[derive(Default)]
struct CountedSites {
    scrapes: u64,
    last: BTreeMap<String, u64>,
}

impl CountedSites {
    /// Notes the sites that have channels now, and returns those to forget.
    fn note<'a>(&mut self, sites: impl Iterator<Item = &'a str>) -> Vec<String> {
        self.scrapes += 1;
        self.last.extend(sites.map(|site| (site.to_owned(), self.scrapes)));
        let mut gone: Vec<_> = self.last.iter().map(|(site, scrape)| (*scrape, site.clone())).collect();
        gone.sort();
        gone.truncate(gone.len().saturating_sub(COUNTED_SITES_MAX));
        let gone: Vec<_> = gone.into_iter().map(|(_, site)| site).collect();
        self.last.retain(|site, _| !gone.contains(site));
        gone
    }
}

impl ChannelCollector {
    pub(super) fn new(registry: Registry, ends: Ends) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str, label: &str| {
            IntCounterVec::new(Opts::new(format!("wovenet_agent_{name}"), help), &["remote_site", label])
        };
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            GaugeVec::new(Opts::new(format!("wovenet_agent_{name}"), help), labels)
        };
        Ok(Self {
            registry,
            channels: gauge(
                "tunnel_channels",
                "Live data channels by peer site and state (good, doubtful, suspect, draining).",
                &["remote_site", "state"],
            )?,
            streams: gauge("tunnel_streams_open", "Streams open now, both ways.", &["remote_site"])?,
            round_trip: gauge(
                "tunnel_rtt_seconds",
                "Round trip time of the best channel, as estimated from acknowledgements.",
                &["remote_site"],
            )?,
            min_round_trip: gauge(
                "tunnel_min_rtt_seconds",
                "Shortest round trip time of a live channel that a scrape has seen.",
                &["remote_site"],
            )?,
            established: gauge(
                "tunnel_established_timestamp_seconds",
                "When the oldest live channel came up, as seconds since 1970.",
                &["remote_site"],
            )?,
            apps: gauge(
                "discovery_apps",
                "Apps that connected sites let this one use, by whether they are healthy.",
                &["state"],
            )?,
            window: gauge("tunnel_cwnd_bytes", "Sum of the congestion windows of all channels.", &["remote_site"])?,
            mtu: gauge(
                "tunnel_mtu_bytes",
                "Smallest path MTU in use; falls when a path drops large packets.",
                &["remote_site"],
            )?,
            packets: counter("tunnel_packets_total", "Packets sent, and packets found lost.", "kind")?,
            bytes: counter(
                "tunnel_udp_bytes_total",
                "Bytes in UDP datagrams, by direction; lost counts sent bytes found lost.",
                "direction",
            )?,
            datagrams: counter("tunnel_udp_datagrams_total", "UDP datagrams, by direction.", "direction")?,
            blocked: counter(
                "tunnel_stream_blocked_total",
                "Times that sending waited for credit of the peer: for the whole channel (conn) or one stream.",
                "kind",
            )?,
            reconnects: counter(
                "tunnel_reconnects_total",
                "Channels that ended and are made again while their site is known, by why they ended.",
                "reason",
            )?,
            ends,
            events: CounterVec::new(
                Opts::new(
                    "wovenet_agent_tunnel_path_events_total",
                    "Congestion events, and black holes found for large packets.",
                ),
                &["remote_site", "event"],
            )?,
            seen: Mutex::default(),
            counted: Mutex::default(),
        })
    }

    fn collectors(&self) -> [&dyn Collector; 14] {
        [
            &self.channels,
            &self.streams,
            &self.round_trip,
            &self.min_round_trip,
            &self.established,
            &self.window,
            &self.mtu,
            &self.apps,
            &self.packets,
            &self.bytes,
            &self.datagrams,
            &self.blocked,
            &self.reconnects,
            &self.events,
        ]
    }

    fn sample(&self) {
        let of_paths = [&self.round_trip, &self.min_round_trip, &self.established, &self.window, &self.mtu];
        of_paths.into_iter().chain([&self.channels, &self.streams]).for_each(|gauge| gauge.reset());
        let mut seen = self.seen.lock();
        let channels = self.registry.all();
        let ends = std::mem::take(&mut *self.ends.0.lock());
        for ((site, reason), count) in &ends {
            self.reconnects.with_label_values(&[site.as_str(), *reason]).inc_by(*count);
        }
        let live = channels.iter().map(|channel| channel.peer().name.as_str());
        let forgotten = self.counted.lock().note(live.chain(ends.keys().map(|(site, _)| site.as_str())));
        forgotten.iter().for_each(|site| self.forget(site));
        self.sample_apps(&channels);
        seen.retain(|id, _| channels.iter().any(|channel| channel.id() == *id));
        for channel in &channels {
            self.sample_gauges(channel);
            let before = seen.entry(channel.id()).or_default();
            *before = self.sample_counters(channel, *before);
        }
    }

    fn forget(&self, site: &str) {
        let labels = |kinds: &'static [&'static str]| kinds.iter().map(move |kind| [site, *kind]);
        // What was never counted is not there to be removed.
        labels(&["sent", "lost"]).for_each(|labels| drop(self.packets.remove_label_values(&labels)));
        labels(&["tx", "rx", "lost"]).for_each(|labels| drop(self.bytes.remove_label_values(&labels)));
        labels(&["tx", "rx"]).for_each(|labels| drop(self.datagrams.remove_label_values(&labels)));
        labels(&["conn", "stream"]).for_each(|labels| drop(self.blocked.remove_label_values(&labels)));
        labels(&End::LABELS).for_each(|labels| drop(self.reconnects.remove_label_values(&labels)));
        labels(&["congestion", "black_hole"]).for_each(|labels| drop(self.events.remove_label_values(&labels)));
    }

    /// Counts the apps of all connected sites, each once.
    fn sample_apps(&self, channels: &[Arc<Channel>]) {
        let mut apps = BTreeMap::new();
        for channel in channels {
            for (app, entry) in channel.catalogue().unwrap_or_default() {
                apps.insert((channel.peer().site, app), entry.healthy);
            }
        }
        let healthy = apps.values().filter(|healthy| **healthy).count();
        self.apps.with_label_values(&["healthy"]).set(healthy as f64);
        self.apps.with_label_values(&["unhealthy"]).set((apps.len() - healthy) as f64);
    }

    fn sample_gauges(&self, channel: &Channel) {
        let site = channel.peer().name.as_str();
        let stats = channel.stats();
        let state = if channel.is_draining() { "draining" } else { health_label(channel) };
        self.channels.with_label_values(&[site, state]).inc();
        self.streams.with_label_values(&[site]).add(channel.active_streams() as f64);
        self.window.with_label_values(&[site]).add(stats.path.cwnd as f64);
        smallest(&self.round_trip, site, channel.round_trip().as_secs_f64());
        smallest(&self.mtu, site, f64::from(stats.path.current_mtu));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        smallest(&self.established, site, now.saturating_sub(channel.since().elapsed()).as_secs_f64());
    }

    fn sample_counters(&self, channel: &Channel, before: Counts) -> Counts {
        let site = channel.peer().name.as_str();
        let stats = channel.stats();
        let now = Counts {
            sent_packets: stats.path.sent_packets,
            lost_packets: stats.path.lost_packets,
            lost_bytes: stats.path.lost_bytes,
            congestion_events: stats.path.congestion_events,
            black_holes: stats.path.black_holes_detected,
            sent_bytes: stats.udp_tx.bytes,
            received_bytes: stats.udp_rx.bytes,
            sent_datagrams: stats.udp_tx.datagrams,
            received_datagrams: stats.udp_rx.datagrams,
            blocked: stats.frame_tx.data_blocked,
            streams_blocked: stats.frame_tx.stream_data_blocked,
            min_round_trip: before.min_round_trip.into_iter().chain([channel.round_trip()]).min(),
        };
        smallest(&self.min_round_trip, site, now.min_round_trip.unwrap_or_default().as_secs_f64());
        let datagrams = |direction, more| self.datagrams.with_label_values(&[site, direction]).inc_by(more);
        datagrams("tx", now.sent_datagrams.saturating_sub(before.sent_datagrams));
        datagrams("rx", now.received_datagrams.saturating_sub(before.received_datagrams));
        let blocked = |kind, more| self.blocked.with_label_values(&[site, kind]).inc_by(more);
        blocked("conn", now.blocked.saturating_sub(before.blocked));
        blocked("stream", now.streams_blocked.saturating_sub(before.streams_blocked));
        let packets = |kind, more| self.packets.with_label_values(&[site, kind]).inc_by(more);
        packets("sent", now.sent_packets.saturating_sub(before.sent_packets));
        packets("lost", now.lost_packets.saturating_sub(before.lost_packets));
        let bytes = |direction, more| self.bytes.with_label_values(&[site, direction]).inc_by(more);
        bytes("tx", now.sent_bytes.saturating_sub(before.sent_bytes));
        bytes("rx", now.received_bytes.saturating_sub(before.received_bytes));
        bytes("lost", now.lost_bytes.saturating_sub(before.lost_bytes));
        let events = |event, more: u64| self.events.with_label_values(&[site, event]).inc_by(more as f64);
        events("congestion", now.congestion_events.saturating_sub(before.congestion_events));
        events("black_hole", now.black_holes.saturating_sub(before.black_holes));
        now
    }
}

impl Collector for ChannelCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.collectors().iter().flat_map(|collector| collector.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.sample();
        self.collectors().iter().flat_map(|collector| collector.collect()).collect()
    }
}

fn smallest(gauge: &GaugeVec, site: &str, value: f64) {
    let gauge = gauge.with_label_values(&[site]);
    if gauge.get() == 0.0 || value < gauge.get() {
        gauge.set(value);
    }
}

fn health_label(channel: &Channel) -> &'static str {
    use crate::tunnel::channel::Health;
    match channel.health() {
        Health::Good => "good",
        Health::Doubtful => "doubtful",
        Health::Suspect => "suspect",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_sites_the_ones_that_are_gone_for_longest_are_forgotten() {
        let mut counted = CountedSites::default();
        assert_eq!(counted.note(["old", "stays"].into_iter()), [""; 0]);
        let many: Vec<String> = (0..COUNTED_SITES_MAX - 1).map(|number| format!("site-{number}")).collect();
        let names = || many.iter().map(String::as_str).chain(["stays"]);
        assert_eq!(counted.note(names()), ["old"]);
        assert_eq!(counted.note(names()), [""; 0]);
    }
}
