//! When to ping, and what a late answer means (docs/protocol.md §4). Pure: takes `now`.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::tunnel::channel::Health;

/// Time between pings (docs/protocol.md §4).
pub const PING_PERIOD: Duration = Duration::from_secs(2);
/// A ping without answer for this long and four round trips makes the channel doubtful: others are preferred.
pub const DOUBTFUL_AFTER: Duration = Duration::from_secs(1);
/// A ping without answer for this long makes the channel suspect: no new streams (docs/protocol.md §4).
pub const SUSPECT_AFTER: Duration = Duration::from_secs(5);
/// A ping without answer for this long makes the channel dead. The first ping that a failure swallows is sent up to
/// [`PING_PERIOD`] after it: apps know of the failure within 15 s of it (docs/protocol.md §4), with half a second to tell them.
pub const DEAD_AFTER: Duration = Duration::from_millis(12_500);

/// The pings of one channel that wait for their answers.
#[derive(Debug)]
pub(super) struct Pulse {
    next: Instant,
    number: u64,
    waiting: VecDeque<(u64, Instant)>,
}

impl Pulse {
    pub(super) fn new(now: Instant) -> Self {
        Self { next: now, number: 0, waiting: VecDeque::new() }
    }

    /// Returns the number of the ping to send now, if one is due.
    pub(super) fn ping(&mut self, now: Instant) -> Option<u64> {
        if now < self.next {
            return None;
        }
        self.next = now + PING_PERIOD;
        self.number += 1;
        self.waiting.push_back((self.number, now));
        Some(self.number)
    }

    /// Takes an answer: it also answers every ping before it. A number never sent answers nothing.
    pub(super) fn pong(&mut self, number: u64) {
        if number <= self.number {
            self.waiting.retain(|(waiting, _)| *waiting > number);
        }
    }

    /// Tells how late the oldest unanswered ping is; `None` means dead.
    pub(super) fn health(&self, now: Instant, round_trip: Duration) -> Option<Health> {
        let late = self.waiting.front().map_or(Duration::ZERO, |(_, sent)| now.saturating_duration_since(*sent));
        match late {
            late if late >= DEAD_AFTER => None,
            late if late >= SUSPECT_AFTER => Some(Health::Suspect),
            late if late >= doubtful_after(round_trip) => Some(Health::Doubtful),
            _ => Some(Health::Good),
        }
    }

    /// Returns when to look again.
    pub(super) fn deadline(&self, now: Instant, round_trip: Duration) -> Instant {
        let Some((_, sent)) = self.waiting.front() else { return self.next };
        [doubtful_after(round_trip), SUSPECT_AFTER, DEAD_AFTER]
            .into_iter()
            .map(|after| *sent + after)
            .filter(|at| *at > now)
            .chain([self.next])
            .min()
            .unwrap_or(self.next)
    }
}

fn doubtful_after(round_trip: Duration) -> Duration {
    (DOUBTFUL_AFTER + round_trip * 4).min(SUSPECT_AFTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND_TRIP: Duration = Duration::from_millis(50);

    fn at(start: Instant, milliseconds: u64) -> Instant {
        start + Duration::from_millis(milliseconds)
    }

    #[test]
    fn an_answered_channel_is_good_for_ever() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        for second in 0..60 {
            let now = at(start, second * 1_000);
            if let Some(number) = pulse.ping(now) {
                pulse.pong(number);
            }
            assert_eq!(pulse.health(now, ROUND_TRIP), Some(Health::Good));
        }
    }

    #[test]
    fn silence_makes_a_channel_doubtful_then_suspect_then_dead() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        pulse.ping(start);
        let health = |milliseconds| pulse.health(at(start, milliseconds), ROUND_TRIP);
        assert_eq!(health(1_199), Some(Health::Good));
        assert_eq!(health(1_200), Some(Health::Doubtful));
        assert_eq!(health(5_000), Some(Health::Suspect));
        assert_eq!(health(12_499), Some(Health::Suspect));
        assert_eq!(health(12_500), None);
    }

    #[test]
    fn a_late_answer_heals_and_an_invented_one_does_not() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        pulse.ping(start);
        pulse.pong(99);
        assert_eq!(pulse.health(at(start, 6_000), ROUND_TRIP), Some(Health::Suspect));
        pulse.pong(1);
        assert_eq!(pulse.health(at(start, 6_000), ROUND_TRIP), Some(Health::Good));
    }

    #[test]
    fn the_deadline_is_always_ahead_once_a_due_ping_was_sent() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        for step in 0..200 {
            let now = at(start, step * 100);
            pulse.ping(now);
            assert!(pulse.deadline(now, ROUND_TRIP) > now);
            assert!(pulse.deadline(now, ROUND_TRIP) <= now + PING_PERIOD);
        }
    }
}
