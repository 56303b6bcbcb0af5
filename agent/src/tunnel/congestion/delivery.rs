//! How fast the path delivers: bytes acknowledged between the sending of a packet and its acknowledgement, and the most
//! of that over the last rounds.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Rounds after which a rate is forgotten.
const ROUNDS_KEPT: usize = 10;
/// Records of the past per round trip; their distance is the error of a sample.
const RECORDS_PER_ROUND_TRIP: u32 = 32;
/// The most records that are kept: eight round trips.
const RECORDS_MAX: usize = 256;
/// The least distance between two records.
const RECORD_DISTANCE_MIN: Duration = Duration::from_millis(1);

/// The state of delivery at one time.
#[derive(Clone, Copy, Debug)]
struct Record {
    at: Instant,
    /// Bytes acknowledged until then.
    delivered: u64,
    /// When the newest of them was sent.
    newest_sent: Instant,
}

/// One measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    /// Bytes per second.
    pub(super) rate: f64,
    /// The application sent less than it was allowed to: the path may be faster.
    pub(super) app_limited: bool,
}

/// Counts what was delivered and measures its rate.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    now: Record,
    past: VecDeque<Record>,
    /// Samples are limited by the application until this much was delivered: all that was in flight when it last had
    /// nothing to send.
    app_limited_until: u64,
}

impl Delivery {
    pub(super) fn new(now: Instant) -> Self {
        let start = Record { at: now, delivered: 0, newest_sent: now };
        Self { now: start, past: VecDeque::from([start]), app_limited_until: 0 }
    }

    pub(super) fn acknowledge(&mut self, now: Instant, sent: Instant, bytes: u64) {
        self.now.at = now;
        self.now.delivered += bytes;
        self.now.newest_sent = self.now.newest_sent.max(sent);
    }

    /// Tells when the newest acknowledged packet was sent.
    pub(super) fn newest_sent(&self) -> Instant {
        self.now.newest_sent
    }

    /// Ends a batch of acknowledgements that left `in_flight` bytes. A time of less than `round_trip` is no measurement,
    /// but acknowledgements that were held back and came together.
    pub(super) fn sample(&mut self, in_flight: u64, app_limited: bool, round_trip: Duration) -> Option<Sample> {
        let limited = app_limited || self.now.delivered <= self.app_limited_until;
        let rate = self.measure(round_trip * 9 / 10);
        if app_limited {
            self.app_limited_until = self.now.delivered + in_flight;
        }
        self.record(round_trip / RECORDS_PER_ROUND_TRIP);
        Some(Sample { rate: rate?, app_limited: limited })
    }

    fn measure(&self, at_least: Duration) -> Option<f64> {
        let newer = self.past.partition_point(|record| record.at <= self.now.newest_sent);
        let before = self.past.get(newer.checked_sub(1)?)?;
        // The longer of both spans, as packets that leave or acknowledgements that come in a burst are no faster path.
        let acknowledging = self.now.at.saturating_duration_since(before.at);
        let sending = self.now.newest_sent.saturating_duration_since(before.newest_sent);
        let span = acknowledging.max(sending);
        if span < at_least || span.is_zero() {
            return None;
        }
        Some((self.now.delivered - before.delivered) as f64 / span.as_secs_f64())
    }

    fn record(&mut self, distance: Duration) {
        let last = self.past.back().map(|record| record.at);
        if last.is_none_or(|at| self.now.at.saturating_duration_since(at) >= distance.max(RECORD_DISTANCE_MIN)) {
            self.past.push_back(self.now);
        }
        if self.past.len() > RECORDS_MAX {
            self.past.pop_front();
        }
    }
}

/// The highest rate of the last [`ROUNDS_KEPT`] rounds, in bytes per second.
#[derive(Clone, Debug, Default)]
pub(super) struct Bandwidth {
    rounds: [f64; ROUNDS_KEPT],
    /// The round that is going on.
    current: usize,
    measured: bool,
}

impl Bandwidth {
    /// Takes a sample in. One that the application limited only counts if it is higher than what is known.
    pub(super) fn take(&mut self, sample: Sample) {
        let best = self.best();
        self.measured |= !sample.app_limited || sample.rate >= best;
        if !sample.app_limited || sample.rate > best {
            let round = &mut self.rounds[self.current];
            *round = round.max(sample.rate);
        }
    }

    /// Begins a round. Rounds in which the application had too little to send do not age what is known.
    pub(super) fn end_round(&mut self) {
        if std::mem::take(&mut self.measured) {
            self.current = (self.current + 1) % ROUNDS_KEPT;
            self.rounds[self.current] = 0.0;
        }
    }

    pub(super) fn best(&self) -> f64 {
        self.rounds.iter().copied().fold(0.0, f64::max)
    }

    /// Forgets all but the newest two rounds that measured something.
    pub(super) fn forget_old(&mut self) {
        let previous = (self.current + ROUNDS_KEPT - 1) % ROUNDS_KEPT;
        for (index, rate) in self.rounds.iter_mut().enumerate() {
            if index != self.current && index != previous {
                *rate = 0.0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND_TRIP: Duration = Duration::from_millis(100);

    fn measured(rate: f64) -> Sample {
        Sample { rate, app_limited: false }
    }

    #[test]
    fn a_steady_flow_measures_its_rate() {
        let start = Instant::now();
        let mut delivery = Delivery::new(start);
        let mut last = None;
        for step in 1..300 {
            let sent = start + Duration::from_millis(step);
            delivery.acknowledge(sent + ROUND_TRIP, sent, 1_000);
            last = delivery.sample(100_000, false, ROUND_TRIP).or(last);
        }
        let rate = last.unwrap().rate;
        assert!((rate - 1e6).abs() < 5e4, "{rate}");
    }

    #[test]
    fn acknowledgements_that_come_together_are_no_faster_path() {
        let start = Instant::now();
        let mut delivery = Delivery::new(start);
        let mut best: f64 = 0.0;
        for burst in 1..30 {
            for packet in 0..10 {
                let sent = start + Duration::from_millis(burst * 10 + packet);
                delivery.acknowledge(start + Duration::from_millis(burst * 10 + 9) + ROUND_TRIP, sent, 1_000);
            }
            let sample = delivery.sample(100_000, false, ROUND_TRIP);
            best = best.max(sample.map_or(0.0, |sample| sample.rate));
        }
        assert!(best < 1.15e6, "{best}");
    }

    #[test]
    fn what_was_in_flight_when_the_application_paused_counts_as_limited() {
        let start = Instant::now();
        let mut delivery = Delivery::new(start);
        let mut limited = Vec::new();
        for step in 1..=4 {
            let sent = start + ROUND_TRIP * step;
            delivery.acknowledge(sent + ROUND_TRIP, sent, 1_000);
            limited.push(delivery.sample(2_000, step == 1, ROUND_TRIP).unwrap().app_limited);
        }
        assert_eq!(limited, [true, true, true, false]);
    }

    #[test]
    fn a_rate_is_forgotten_after_ten_rounds_that_measured_something() {
        let mut bandwidth = Bandwidth::default();
        bandwidth.take(measured(9.0));
        for _ in 0..50 {
            bandwidth.end_round();
            bandwidth.take(Sample { rate: 1.0, app_limited: true });
        }
        assert_eq!(bandwidth.best(), 9.0);
        for _ in 0..ROUNDS_KEPT {
            bandwidth.take(measured(2.0));
            bandwidth.end_round();
        }
        assert_eq!(bandwidth.best(), 2.0);
    }
}
