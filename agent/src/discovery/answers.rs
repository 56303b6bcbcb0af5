//! Hellos that this agent will answer, each after a wait at random so that answers do not come all at once. Pure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use wovenet_config::key::SiteId;

use crate::peer::mesh_key::KeyId;

/// The longest wait before an answer (docs/protocol.md §3).
pub(super) const ANSWER_WAIT_MAX: Duration = Duration::from_secs(2);
/// The most answers that wait; after a broker's restart everybody announces anyway.
const PENDING_MAX: usize = 64;
/// The most nonces that are remembered, against replays.
const NONCES_MAX: usize = 256;

/// A hello that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) asker: SiteId,
    pub(super) nonce: String,
    /// The mesh key that the asker has for certain.
    pub(super) key_id: KeyId,
}

/// The answers that wait.
#[derive(Debug, Default)]
pub(super) struct Answers {
    pending: Vec<(Instant, Asked)>,
    nonces: VecDeque<String>,
}

impl Answers {
    /// Schedules an answer after `fraction` (0 to 1) of the longest wait. One answer serves all agents of the asker.
    pub(super) fn schedule(&mut self, asked: Asked, now: Instant, fraction: f64) {
        let waits = |other: &Asked| other.asker == asked.asker && other.key_id == asked.key_id;
        let known = self.nonces.contains(&asked.nonce) || self.pending.iter().any(|(_, other)| waits(other));
        if known || self.pending.len() >= PENDING_MAX {
            return;
        }
        if self.nonces.len() >= NONCES_MAX {
            self.nonces.pop_front();
        }
        self.nonces.push_back(asked.nonce.clone());
        self.pending.push((now + ANSWER_WAIT_MAX.mul_f64(fraction.clamp(0.0, 1.0)), asked));
    }

    /// Returns when the next answer is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.pending.iter().map(|(due, _)| *due).min()
    }

    /// Takes the answers that are due.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Asked> {
        let (due, pending) = std::mem::take(&mut self.pending).into_iter().partition(|(at, _)| *at <= now);
        self.pending = pending;
        let due: Vec<(Instant, Asked)> = due;
        due.into_iter().map(|(_, asked)| asked).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::testing::{ring, site_key};

    fn asked(number: u32, nonce: &str) -> Asked {
        Asked { asker: site_key(number).site_id(), nonce: nonce.into(), key_id: ring(1, None).keys()[0].id() }
    }

    #[test]
    fn a_hello_is_answered_once_within_the_wait() {
        let (mut answers, start) = (Answers::default(), Instant::now());
        answers.schedule(asked(1, "a"), start, 0.5);
        answers.schedule(asked(1, "b"), start, 0.1);
        assert!(answers.take_due(start).is_empty());
        assert_eq!(answers.take_due(start + ANSWER_WAIT_MAX), [asked(1, "a")]);
        answers.schedule(asked(1, "a"), start, 0.5);
        assert_eq!(answers.due(), None, "a replayed hello is not answered");
    }

    #[test]
    fn a_storm_of_hellos_is_bounded() {
        let mut answers = Answers::default();
        (0..2_000).for_each(|number| answers.schedule(asked(number, &number.to_string()), Instant::now(), 1.0));
        assert_eq!(answers.pending.len(), PENDING_MAX);
        assert!(answers.nonces.len() <= NONCES_MAX);
    }
}
