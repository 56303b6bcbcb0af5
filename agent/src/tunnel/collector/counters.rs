//! Counters by site, of what the library counts by channel.

use prometheus::core::Collector;
use prometheus::{IntCounterVec, Opts};
use quinn::ConnectionStats;

use crate::tunnel::channel::Channel;
use crate::tunnel::control::End;

/// The families of counters: name, help, and the label beside the site.
const FAMILIES: [(&str, &str, &str); 5] = [
    ("tunnel_packets_total", "Packets sent, and packets found lost.", "kind"),
    ("tunnel_udp_bytes_total", "Bytes in UDP datagrams, by direction; lost counts sent bytes found lost.", "direction"),
    ("tunnel_udp_datagrams_total", "UDP datagrams, by direction.", "direction"),
    (
        "tunnel_stream_blocked_total",
        "Times that sending waited for credit of the peer: for the whole channel (conn) or one stream.",
        "kind",
    ),
    ("tunnel_path_events_total", "Congestion events, and black holes found for large packets.", "event"),
];
/// The index of each family in [`FAMILIES`].
const PACKETS: usize = 0;
const BYTES: usize = 1;
const DATAGRAMS: usize = 2;
const BLOCKED: usize = 3;
const EVENTS: usize = 4;

/// One series of a site: its family, its label, and where the library counts it.
type Series = (usize, &'static str, fn(&ConnectionStats) -> u64);

const SERIES: [Series; 11] = [
    (PACKETS, "sent", |stats| stats.path.sent_packets),
    (PACKETS, "lost", |stats| stats.path.lost_packets),
    (BYTES, "tx", |stats| stats.udp_tx.bytes),
    (BYTES, "rx", |stats| stats.udp_rx.bytes),
    (BYTES, "lost", |stats| stats.path.lost_bytes),
    (DATAGRAMS, "tx", |stats| stats.udp_tx.datagrams),
    (DATAGRAMS, "rx", |stats| stats.udp_rx.datagrams),
    (BLOCKED, "conn", |stats| stats.frame_tx.data_blocked),
    (BLOCKED, "stream", |stats| stats.frame_tx.stream_data_blocked),
    (EVENTS, "congestion", |stats| stats.path.congestion_events),
    (EVENTS, "black_hole", |stats| stats.path.black_holes_detected),
];

/// What a channel had counted when it was last looked at, in the order of [`SERIES`].
pub(super) type Counts = [u64; SERIES.len()];

pub(super) struct Counters {
    families: [IntCounterVec; FAMILIES.len()],
    reconnects: IntCounterVec,
}

impl Counters {
    pub(super) fn new() -> prometheus::Result<Self> {
        let family = |(name, help, label): (&str, &str, &str)| {
            IntCounterVec::new(Opts::new(format!("wovenet_agent_{name}"), help), &["remote_site", label])
        };
        let [packets, bytes, datagrams, blocked, events] = FAMILIES.map(family);
        let help = "Channels that ended and are made again while their site is known, by why they ended.";
        Ok(Self {
            families: [packets?, bytes?, datagrams?, blocked?, events?],
            reconnects: family(("tunnel_reconnects_total", help, "reason"))?,
        })
    }

    pub(super) fn collectors(&self) -> impl Iterator<Item = &dyn Collector> {
        self.families.iter().chain([&self.reconnects]).map(|family| family as &dyn Collector)
    }

    /// Adds what a channel has counted since, and returns what it has counted now.
    pub(super) fn add(&self, channel: &Channel, before: &Counts) -> Counts {
        let (site, stats) = (channel.peer().name.as_str(), channel.stats());
        let now = SERIES.map(|(_, _, count)| count(&stats));
        for ((family, label, _), (now, before)) in SERIES.iter().zip(now.iter().zip(before)) {
            self.families[*family].with_label_values(&[site, *label]).inc_by(now.saturating_sub(*before));
        }
        now
    }

    pub(super) fn count_ends(&self, site: &str, reason: &str, count: u64) {
        self.reconnects.with_label_values(&[site, reason]).inc_by(count);
    }

    /// Drops the series of a site. What was never counted is not there to be removed.
    pub(super) fn forget(&self, site: &str) {
        for (family, label, _) in SERIES {
            self.families[family].remove_label_values(&[site, label]).ok();
        }
        for reason in End::LABELS {
            self.reconnects.remove_label_values(&[site, reason]).ok();
        }
    }
}
