//! The metrics of discovery. Made once for the process and handed to each start of discovery.

use prometheus::{Gauge, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};

use crate::peer::directory::{Directory, Learning, Refusal};
use crate::peer::seal::Kind;

/// What a statement may teach, as labels.
const UPDATES: [&str; 3] = ["new", "changed", "refreshed"];

/// Why a message was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DropReason {
    /// No size of an envelope.
    Size,
    /// Sealed with an unknown mesh key.
    KeyId,
    /// Damaged, or meant for another topic.
    Seal,
    /// A wrong signature, or one site that speaks for another.
    Signature,
    /// Not understood.
    Malformed,
    /// Seen before.
    Replay,
    /// Older than what is known.
    Old,
    /// A denied key, or one that is not listed.
    Denied,
    /// A name that another site has.
    Conflict,
    /// An unknown site whose clock is far ahead.
    Future,
    /// No room for more sites.
    Full,
    /// Too many at once.
    Rate,
}

impl DropReason {
    const ALL: [Self; 12] = [
        Self::Size,
        Self::KeyId,
        Self::Seal,
        Self::Signature,
        Self::Malformed,
        Self::Replay,
        Self::Old,
        Self::Denied,
        Self::Conflict,
        Self::Future,
        Self::Full,
        Self::Rate,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::KeyId => "key_id",
            Self::Seal => "seal",
            Self::Signature => "signature",
            Self::Malformed => "malformed",
            Self::Replay => "replay",
            Self::Old => "old",
            Self::Denied => "denied",
            Self::Conflict => "conflict",
            Self::Future => "future",
            Self::Full => "full",
            Self::Rate => "rate",
        }
    }

    /// Classifies a refusal of the directory; `None` for our own statements, which come back as a matter of course.
    pub(super) fn of(refusal: &Refusal) -> Option<Self> {
        match refusal {
            Refusal::Own => None,
            Refusal::Denied | Refusal::NotPinned => Some(Self::Denied),
            Refusal::Replay => Some(Self::Replay),
            Refusal::Old => Some(Self::Old),
            Refusal::NameConflict { .. } | Refusal::OtherName { .. } => Some(Self::Conflict),
            Refusal::FarFuture => Some(Self::Future),
            Refusal::Full => Some(Self::Full),
        }
    }
}

/// Which way a message went.
#[derive(Clone, Copy, Debug)]
pub(super) enum Direction {
    Received,
    Sent,
}

/// The metrics of discovery.
#[derive(Clone, Debug)]
pub struct DiscoveryMetrics {
    connected: IntGaugeVec,
    connects: IntCounterVec,
    messages: IntCounterVec,
    dropped: IntCounterVec,
    peers: IntGaugeVec,
    updates: IntCounterVec,
    last_update: Gauge,
}

impl DiscoveryMetrics {
    /// Registers the metrics.
    ///
    /// # Errors
    /// When the registry has some of them already.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let name = |name: &str| format!("wovenet_agent_{name}");
        let gauges = |own: &str, help: &str, label| IntGaugeVec::new(Opts::new(name(own), help), &[label]);
        let counters = |own: &str, help: &str, labels: &[&str]| IntCounterVec::new(Opts::new(name(own), help), labels);
        let metrics = Self {
            connected: gauges("mqtt_connected", "1 while the agent is connected to the broker, else 0", "broker")?,
            connects: counters("mqtt_connects_total", "Grows with each attempt to connect to a broker", &["result"])?,
            messages: counters(
                "mqtt_messages_total",
                "Grows with each message sent, and each one of a member received",
                &["direction", "type"],
            )?,
            dropped: counters(
                "discovery_messages_dropped_total",
                "Grows with each received message that taught nothing",
                &["reason"],
            )?,
            peers: gauges("discovery_peers", "Sites in the directory, without this one", "state")?,
            updates: counters(
                "discovery_updates_total",
                "Grows with each statement of a site that a broker told",
                &["result"],
            )?,
            last_update: Gauge::with_opts(Opts::new(
                name("discovery_last_update_timestamp_seconds"),
                "When a broker last told something new of a site, as seconds since 1970",
            ))?,
        };
        metrics.register(registry)?;
        Ok(metrics)
    }

    fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        DropReason::ALL.iter().for_each(|reason| drop(self.dropped.with_label_values(&[reason.label()])));
        registry.register(Box::new(self.connected.clone()))?;
        registry.register(Box::new(self.connects.clone()))?;
        registry.register(Box::new(self.messages.clone()))?;
        registry.register(Box::new(self.dropped.clone()))?;
        registry.register(Box::new(self.peers.clone()))?;
        UPDATES.iter().for_each(|result| drop(self.updates.with_label_values(&[result])));
        registry.register(Box::new(self.updates.clone()))?;
        registry.register(Box::new(self.last_update.clone()))
    }

    /// Returns how many messages were dropped for a reason.
    pub fn dropped_total(&self, reason: DropReason) -> u64 {
        self.dropped.with_label_values(&[reason.label()]).get()
    }

    pub(super) fn count_drop(&self, reason: DropReason) {
        self.dropped.with_label_values(&[reason.label()]).inc();
    }

    pub(super) fn set_connected(&self, broker: usize, connected: bool) {
        self.connected.with_label_values(&[&broker.to_string()]).set(i64::from(connected));
    }

    pub(super) fn remove_broker(&self, broker: usize) {
        let _ = self.connected.remove_label_values(&[&broker.to_string()]);
    }

    pub(super) fn connects(&self, result: &'static str) -> IntCounter {
        self.connects.with_label_values(&[result])
    }

    pub(super) fn count_message(&self, direction: Direction, kind: Kind) {
        let direction = match direction {
            Direction::Received => "received",
            Direction::Sent => "sent",
        };
        let kind = match kind {
            Kind::Announcement => "announcement",
            Kind::Status => "status",
            Kind::Answer => "answer",
            Kind::Hello => "hello",
        };
        self.messages.with_label_values(&[direction, kind]).inc();
    }

    /// Counts what a statement taught.
    pub(super) fn learned(&self, learning: Learning, unix_ms: u64) {
        let result = match learning {
            Learning::New => UPDATES[0],
            Learning::Changed => UPDATES[1],
            Learning::Refreshed => UPDATES[2],
        };
        self.updates.with_label_values(&[result]).inc();
        self.last_update.set(std::time::Duration::from_millis(unix_ms).as_secs_f64());
    }

    pub(super) fn count_peers(&self, directory: &Directory) {
        let (mut known, mut connected, mut conflicting) = (0, 0, 0);
        for site in directory.sites() {
            match () {
                () if site.conflict.is_some() => conflicting += 1,
                () if site.connected => connected += 1,
                () => known += 1,
            }
        }
        for (state, count) in [("known", known), ("connected", connected), ("conflict", conflicting)] {
            self.peers.with_label_values(&[state]).set(count);
        }
    }
}
