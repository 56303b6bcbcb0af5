//! What this agent has retained on one broker, and whether a stranger cleared or replaced it. Pure.

use std::collections::BTreeMap;
use std::time::Instant;

use bytes::Bytes;

use crate::backoff::{Backoff, BackoffLimits};

/// The retained messages of one connection.
#[derive(Debug)]
pub(super) struct Retained {
    slots: BTreeMap<String, Slot>,
    backoff: Backoff,
    due: Option<Instant>,
}

#[derive(Debug)]
struct Slot {
    payload: Bytes,
    /// Whether the broker sent it back: what came before is older than it.
    echoed: bool,
}

impl Retained {
    pub(super) fn new() -> Self {
        Self { slots: BTreeMap::new(), backoff: Backoff::new(BackoffLimits::BROKER), due: None }
    }

    /// Notes what was just published on one of our topics; empty means that nothing shall be there.
    pub(super) fn published(&mut self, topic: &str, payload: Bytes) {
        let echoed = payload.is_empty();
        self.slots.insert(topic.to_owned(), Slot { payload, echoed });
    }

    /// Notes a message on a topic. `retain` tells whether the broker holds it.
    pub(super) fn heard(&mut self, topic: &str, payload: &[u8], retain: bool, now: Instant) {
        let Some(slot) = self.slots.get_mut(topic) else { return };
        if slot.payload == payload {
            slot.echoed = true;
            self.backoff.succeeded(now);
        } else if retain && slot.echoed && self.due.is_none() {
            self.due = Some(now + self.backoff.failed(now));
        }
    }

    /// Returns when to publish everything again.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Notes that everything is published again.
    pub(super) fn restored(&mut self) {
        self.due = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published() -> Retained {
        let mut retained = Retained::new();
        retained.published("t", Bytes::from_static(b"ours"));
        retained
    }

    #[test]
    fn what_an_earlier_run_left_is_no_stranger() {
        let mut retained = published();
        retained.heard("t", b"earlier", true, Instant::now());
        retained.heard("t", b"ours", true, Instant::now());
        assert_eq!(retained.due(), None);
    }

    #[test]
    fn a_cleared_or_replaced_message_is_restored_with_back_off() {
        let (mut retained, start) = (published(), Instant::now());
        let mut last_wait = start;
        for payload in [&b""[..], b"stranger", b"stranger"] {
            retained.heard("t", b"ours", true, start);
            retained.heard("t", payload, true, start);
            let due = retained.due().unwrap();
            assert!(due > start);
            last_wait = last_wait.max(due);
            retained.restored();
            retained.published("t", Bytes::from_static(b"ours"));
        }
        assert!(last_wait > start);
    }

    #[test]
    fn a_message_that_is_not_retained_replaces_nothing() {
        let mut retained = published();
        retained.heard("t", b"ours", true, Instant::now());
        retained.heard("t", b"passing", false, Instant::now());
        assert_eq!(retained.due(), None);
    }

    #[test]
    fn an_agent_that_is_silent_clears_what_an_earlier_run_left() {
        let mut retained = Retained::new();
        retained.published("t", Bytes::new());
        retained.heard("t", b"earlier", true, Instant::now());
        assert!(retained.due().is_some());
    }
}
