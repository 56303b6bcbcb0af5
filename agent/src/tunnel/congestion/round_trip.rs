//! The least round trip time of the path: what it takes without a queue.

use std::time::{Duration, Instant};

/// A minimum that was not seen again for this long is measured anew.
const EXPIRY: Duration = Duration::from_secs(5);
/// A sample within this part above the minimum has seen it again.
const SEEN_AGAIN_PART: u32 = 16;

/// The minimum round trip time and its age.
#[derive(Clone, Debug)]
pub(super) struct RoundTrip {
    least: Option<Duration>,
    seen: Instant,
    /// The least since the last [`RoundTrip::end_round`].
    round: Option<Duration>,
}

impl RoundTrip {
    pub(super) fn new(now: Instant) -> Self {
        Self { least: None, seen: now, round: None }
    }

    pub(super) fn take(&mut self, now: Instant, sample: Duration) {
        let lower = |least: Option<Duration>| Some(least.map_or(sample, |least| least.min(sample)));
        self.round = lower(self.round);
        self.least = lower(self.least);
        if self.least.is_some_and(|least| sample <= least + least / SEEN_AGAIN_PART) {
            self.seen = now;
        }
    }

    /// Returns the minimum; `None` before the first sample.
    pub(super) fn least(&self) -> Option<Duration> {
        self.least
    }

    /// Returns the minimum of the round and begins the next.
    pub(super) fn end_round(&mut self) -> Option<Duration> {
        self.round.take()
    }

    pub(super) fn is_expired(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.seen) > EXPIRY
    }

    /// Replaces the minimum by what was measured anew.
    pub(super) fn renew(&mut self, now: Instant, measured: Duration) {
        self.least = Some(measured);
        self.seen = now;
    }
}
