//! The model of the path and what it allows.
//!
//! Invariants: [`WINDOW_MIN_PACKETS`] ≤ window ≤ [`WINDOW_MAX`]. Outside start-up at most [`PROBE_GAIN`] products of
//! rate and round trip time are in flight, plus what a burst takes.

use std::time::{Duration, Instant};

use crate::tunnel::congestion::delivery::{Bandwidth, Delivery};
use crate::tunnel::congestion::loss::{LossCeiling, Verdict};
use crate::tunnel::congestion::round_trip::RoundTrip;

/// The window before anything is known, in packets. RFC 9002 §7.2 allows 10; paced, 32 disturb no one on today's links.
const WINDOW_INITIAL_PACKETS: u64 = 32;
/// The least window, in packets.
pub(super) const WINDOW_MIN_PACKETS: u64 = 4;
/// The largest window, in bytes: twice what a channel keeps to send again.
pub(super) const WINDOW_MAX: u64 = 32 * 1024 * 1024;
/// Start-up about doubles the rate each round, as slow start does; a rate is measured a part of a round late.
const STARTUP_GAIN: f64 = 2.5;
/// A round of start-up or a probe that adds less than this found the limit of the path.
const GROWTH: f64 = 1.25;
/// Rounds without growth that end start-up.
const STALLED_ROUNDS: u32 = 3;
/// What a probe for more bandwidth has in flight, in products of rate and round trip time.
pub(super) const PROBE_GAIN: f64 = 1.5;
/// What is in flight in the round after, for the queue of the probe to drain and the round trip time to be seen.
const DRAIN_GAIN: f64 = 0.95;
/// What is in flight else. Above one for losses, which stay in flight until they are noticed.
const CRUISE_GAIN: f64 = 1.3;
/// What is in flight while the round trip time is measured anew.
const ROUND_TRIP_GAIN: f64 = 0.75;
/// The least time that the round trip time is measured for.
const ROUND_TRIP_TIME_MIN: Duration = Duration::from_millis(100);
/// Rounds from one probe to the next.
const CYCLE_ROUNDS: u32 = 8;
/// The limit of loss leaves this many products: the rate itself falls while loss persists.
const LOSS_GAIN_MIN: f64 = 0.75;
/// What a burst takes beyond the product, in packets: one send call of the library.
const BURST_PACKETS: u64 = 10;
/// What a burst takes beyond the product, in time: timers and acknowledgements come this late.
const BURST_TIME: f64 = 0.003;

/// What the controller is doing.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// Looks for the bandwidth.
    Startup { found: f64, stalled: u32 },
    /// Lets the queue of start-up run empty.
    Drain,
    /// Probes in round 0, drains in round 1, cruises else.
    Cycle { round: u32, rate: f64 },
    /// Measures the round trip time with little in flight, from when on and until when at least.
    MeasureRoundTrip { since: Instant, until: Instant, least: Option<Duration> },
}

const STARTUP: Phase = Phase::Startup { found: 0.0, stalled: 0 };

/// The congestion controller of one path.
#[derive(Clone, Debug)]
pub(super) struct Model {
    packet_bytes: u64,
    initial_packets: u64,
    phase: Phase,
    delivery: Delivery,
    bandwidth: Bandwidth,
    round_trip: RoundTrip,
    loss: LossCeiling,
    /// A packet sent from here on ends the round when it is acknowledged.
    round_since: Instant,
    window: u64,
}

impl Model {
    pub(super) fn new(now: Instant, packet_bytes: u16) -> Self {
        let mut model = Self {
            packet_bytes: packet_bytes.into(),
            initial_packets: WINDOW_INITIAL_PACKETS,
            phase: STARTUP,
            delivery: Delivery::new(now),
            bandwidth: Bandwidth::default(),
            round_trip: RoundTrip::new(now),
            loss: LossCeiling::default(),
            round_since: now,
            window: 0,
        };
        model.set_window();
        model
    }

    /// Takes one acknowledged packet in.
    pub(super) fn acknowledge(&mut self, now: Instant, sent: Instant, bytes: u64) {
        self.delivery.acknowledge(now, sent, bytes);
        self.loss.acknowledge(bytes);
        let sample = now.saturating_duration_since(sent);
        self.round_trip.take(now, sample);
        if let Phase::MeasureRoundTrip { since, least, .. } = &mut self.phase
            && sent >= *since
        {
            *least = Some(least.map_or(sample, |least| least.min(sample)));
        }
    }

    /// Decides anew after a batch of acknowledgements.
    pub(super) fn end_acknowledgements(&mut self, now: Instant, in_flight: u64, app_limited: bool) {
        let Some(round_trip) = self.round_trip.least() else { return };
        if let Some(sample) = self.delivery.sample(in_flight, app_limited, round_trip) {
            self.bandwidth.take(sample);
        }
        if self.delivery.newest_sent() >= self.round_since {
            self.round_since = now;
            self.end_round(app_limited);
        }
        self.leave_phase(now, in_flight);
        self.renew_round_trip(now, app_limited);
        self.set_window();
    }

    /// Takes lost bytes in.
    pub(super) fn lose(&mut self, bytes: u64) {
        self.loss.lose(bytes);
    }

    /// Takes a congestion mark in.
    pub(super) fn mark(&mut self) {
        self.loss.mark();
    }

    /// Everything of several round trips was lost: begins again with the least window.
    pub(super) fn start_again(&mut self) {
        self.initial_packets = WINDOW_MIN_PACKETS;
        self.bandwidth = Bandwidth::default();
        self.loss = LossCeiling::default();
        self.phase = STARTUP;
        self.set_window();
    }

    pub(super) fn set_packet_bytes(&mut self, bytes: u16) {
        self.packet_bytes = bytes.into();
        self.set_window();
    }

    /// Returns how many bytes may be in flight.
    pub(super) fn window(&self) -> u64 {
        self.window
    }

    pub(super) fn initial_window(&self) -> u64 {
        WINDOW_INITIAL_PACKETS * self.packet_bytes
    }

    /// Bytes in flight that fill the path without a queue.
    fn product(&self) -> f64 {
        self.bandwidth.best() * self.round_trip.least().unwrap_or_default().as_secs_f64()
    }

    fn window_min(&self) -> u64 {
        WINDOW_MIN_PACKETS * self.packet_bytes
    }

    fn end_round(&mut self, app_limited: bool) {
        let queued = self.round_trip.end_round().zip(self.round_trip.least());
        let queued = queued.is_some_and(|(round, least)| round > least.mul_f64(GROWTH) + ROUND_TRIP_TIME_MIN / 20);
        let verdict = self.loss.end_round(self.window, self.packet_bytes);
        if verdict == Verdict::Congested {
            self.bandwidth.forget_old();
        }
        let best = self.bandwidth.best();
        self.bandwidth.end_round();
        self.phase = match self.phase {
            Phase::Startup { .. } if app_limited => self.phase,
            Phase::Startup { found, .. } if best >= found * GROWTH => Phase::Startup { found: best, stalled: 0 },
            Phase::Startup { found, stalled } => {
                let full = stalled + 1 >= STALLED_ROUNDS || queued || verdict != Verdict::Fine;
                if full { Phase::Drain } else { Phase::Startup { found, stalled: stalled + 1 } }
            }
            // A probe that found more is followed by another.
            Phase::Cycle { round: 1, rate } if best >= rate * GROWTH => Phase::Cycle { round: 0, rate: best },
            Phase::Cycle { round, rate } => {
                let round = (round + 1) % CYCLE_ROUNDS;
                Phase::Cycle { round, rate: if round == 0 { best } else { rate } }
            }
            Phase::Drain | Phase::MeasureRoundTrip { .. } => self.phase,
        };
    }

    fn leave_phase(&mut self, now: Instant, in_flight: u64) {
        let cruise = Phase::Cycle { round: 2, rate: self.bandwidth.best() };
        match self.phase {
            Phase::Drain if in_flight as f64 <= self.product().max(self.window_min() as f64) => self.phase = cruise,
            Phase::MeasureRoundTrip { until, least: Some(measured), .. } if now >= until => {
                self.round_trip.renew(now, measured);
                self.phase = cruise;
            }
            _ => {}
        }
    }

    fn renew_round_trip(&mut self, now: Instant, app_limited: bool) {
        let Some(least) = self.round_trip.least().filter(|_| self.round_trip.is_expired(now)) else { return };
        match self.phase {
            Phase::MeasureRoundTrip { .. } | Phase::Startup { .. } | Phase::Drain => {}
            Phase::Cycle { .. } if app_limited => {
                // It builds no queue itself, so what it sees now is the path.
                let seen = now.saturating_duration_since(self.delivery.newest_sent());
                self.round_trip.renew(now, seen);
            }
            Phase::Cycle { .. } => {
                // What is in flight now goes first; the time counts from then on.
                let since = now + least / 2;
                let until = since + least.max(ROUND_TRIP_TIME_MIN);
                self.phase = Phase::MeasureRoundTrip { since, until, least: None };
            }
        }
    }

    fn set_window(&mut self) {
        let burst = (BURST_PACKETS * self.packet_bytes) as f64 + self.bandwidth.best() * BURST_TIME;
        let product = self.product();
        let allowed = match self.phase {
            Phase::Startup { .. } => {
                let initial = (self.initial_packets * self.packet_bytes) as f64;
                if product > 0.0 { initial.max(product * STARTUP_GAIN + burst) } else { initial }
            }
            Phase::Cycle { round: 0, .. } => product * PROBE_GAIN + burst,
            Phase::Drain | Phase::Cycle { round: 1, .. } => product * DRAIN_GAIN,
            Phase::Cycle { .. } => product * CRUISE_GAIN + burst,
            Phase::MeasureRoundTrip { .. } => product * ROUND_TRIP_GAIN,
        };
        let allowed = allowed.min(self.loss.limit().max(product * LOSS_GAIN_MIN));
        self.window = (allowed as u64).clamp(self.window_min(), WINDOW_MAX);
    }
}
