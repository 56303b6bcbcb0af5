//! Finds two living processes that speak as one agent, as after a machine was cloned together with its state: their
//! generations alternate, which those of restarts never do.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::peer::site_key::AgentId;

/// Fresh statements of an older start, after a newer one was seen, that prove a twin. One may be a late delivery.
const PROOF: u8 = 2;
/// The most agents that are watched.
const WATCHED_MAX: usize = 64;

/// What was seen of the agents of one site.
#[derive(Clone, Debug, Default)]
pub(super) struct Twins {
    agents: BTreeMap<AgentId, Seen>,
    last_seen: Option<Instant>,
}

#[derive(Clone, Debug, Default)]
struct Seen {
    newest: (u64, u64),
    older: (u64, u64),
    fresh_older: u8,
}

impl Twins {
    /// Notes the mark of a statement that was really signed by the site.
    pub(super) fn observe(&mut self, agent: &AgentId, mark: (u64, u64), now: Instant) {
        if !self.agents.contains_key(agent) && self.agents.len() >= WATCHED_MAX {
            return;
        }
        if self.agents.entry(agent.clone()).or_default().is_alternating(mark) {
            self.last_seen = Some(now);
        }
    }

    pub(super) fn last_seen(&self) -> Option<Instant> {
        self.last_seen
    }

    pub(super) fn keep(&mut self, wanted: impl Fn(&AgentId) -> bool) {
        self.agents.retain(|agent, _| wanted(agent));
    }
}

impl Seen {
    fn is_alternating(&mut self, mark: (u64, u64)) -> bool {
        if mark.0 > self.newest.0 {
            self.older = self.newest;
            self.newest = mark;
            self.fresh_older = 0;
        } else if mark.0 == self.newest.0 {
            self.newest = self.newest.max(mark);
        } else if mark > self.older {
            let same_start = mark.0 == self.older.0;
            self.older = mark;
            self.fresh_older = if same_start { self.fresh_older.saturating_add(1) } else { 1 };
            return self.fresh_older >= PROOF;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::testing::site_key;

    fn seen(marks: &[(u64, u64)]) -> bool {
        let (agent, mut twins) = (site_key(1).agent_id("node-1"), Twins::default());
        marks.iter().for_each(|mark| twins.observe(&agent, *mark, Instant::now()));
        twins.last_seen().is_some()
    }

    #[test]
    fn restarts_and_replays_are_no_twins() {
        assert!(!seen(&[(1, 1), (1, 2), (2, 1), (1, 1), (1, 2), (1, 2), (2, 2), (3, 1), (2, 2)]));
    }

    #[test]
    fn one_late_delivery_is_no_twin() {
        assert!(!seen(&[(1, 1), (2, 1), (1, 2), (2, 2), (1, 2)]));
    }

    #[test]
    fn two_starts_that_both_go_on_are_twins() {
        assert!(seen(&[(1, 1), (2, 1), (1, 2), (2, 2), (1, 3)]));
    }
}
