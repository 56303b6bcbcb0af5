//! Limits on what strangers' messages cost: how many seals are tried, and how many failures are worth a word.

use std::time::{Duration, Instant};

/// Messages that could not be opened and are told of, in one second (docs/protocol.md §3).
pub(super) const GARBAGE_PER_SECOND_MAX: u32 = 50;
/// Seals that are tried in one second while garbage comes in: some 60 ms of one core.
pub(super) const OPENS_PER_SECOND_MAX: u32 = 15_000;
const WINDOW: Duration = Duration::from_secs(1);

/// Counts within the present second.
#[derive(Debug)]
pub(super) struct Flood {
    since: Instant,
    garbage: u32,
    opens: u32,
}

impl Flood {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, garbage: 0, opens: 0 }
    }

    /// Tells whether another seal may be tried. Without garbage there is no limit: who is a member is worth the work.
    pub(super) fn may_open(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.since) >= WINDOW {
            *self = Self::new(now);
        }
        self.opens = self.opens.saturating_add(1);
        self.garbage <= GARBAGE_PER_SECOND_MAX || self.opens <= OPENS_PER_SECOND_MAX
    }

    /// Notes a message that could not be opened; tells whether it is still worth a word.
    pub(super) fn note_garbage(&mut self) -> bool {
        self.garbage = self.garbage.saturating_add(1);
        self.garbage <= GARBAGE_PER_SECOND_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_never_limited_and_garbage_is_by_the_second() {
        let start = Instant::now();
        let mut flood = Flood::new(start);
        assert!((0..OPENS_PER_SECOND_MAX * 2).all(|_| flood.may_open(start)));
        assert_eq!((0..200).filter(|_| flood.note_garbage()).count(), GARBAGE_PER_SECOND_MAX as usize);
        assert!(!flood.may_open(start));
        assert!(flood.may_open(start + WINDOW) && flood.note_garbage());
    }
}
