//! Which of the streams that a peer opened on a channel are served, so that a stream that it opens again on another channel
//! is served once. Pure.

use std::collections::BTreeSet;

/// The most streams of a channel that others took the place of before they came.
pub const REPLACED_MAX: usize = 1_024;

/// The streams of one channel, by their index on it.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// The index of the next stream to come; the library hands them over in order.
    next: u64,
    /// Streams that came, and whose header has not.
    waiting: BTreeSet<u64>,
    /// Streams whose place another one has taken.
    replaced: BTreeSet<u64>,
}

impl Claims {
    /// Notes a stream that came.
    pub(super) fn came(&mut self, index: u64) {
        self.next = self.next.max(index + 1);
        self.waiting.insert(index);
    }

    /// Takes a stream up; tells whether it may be served, as no other has taken its place.
    pub(super) fn take(&mut self, index: u64) -> bool {
        self.waiting.remove(&index);
        !self.replaced.remove(&index)
    }

    /// Lets another stream take this one's place; tells whether that is possible, as this one is not served.
    pub(super) fn replace(&mut self, index: u64) -> bool {
        let is_served = index < self.next && !self.waiting.contains(&index);
        !is_served && self.replaced.len() < REPLACED_MAX && self.replaced.insert(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_is_served_keeps_its_place() {
        let mut claims = Claims::default();
        claims.came(0);
        assert!(claims.take(0));
        assert!(!claims.replace(0));
    }

    #[test]
    fn a_stream_that_was_replaced_before_it_came_or_before_its_header_did_is_not_served() {
        let mut claims = Claims::default();
        assert!(claims.replace(1));
        claims.came(0);
        claims.came(1);
        assert!(claims.replace(0));
        assert!(!claims.take(0) && !claims.take(1));
    }

    #[test]
    fn a_place_is_taken_once() {
        let mut claims = Claims::default();
        assert!(claims.replace(3));
        assert!(!claims.replace(3));
    }

    #[test]
    fn a_peer_cannot_make_the_list_of_replaced_streams_grow_for_ever() {
        let mut claims = Claims::default();
        let taken = (0..10_000).filter(|index| claims.replace(*index)).count();
        assert_eq!(taken, REPLACED_MAX);
    }
}
