//! The number of a start of an agent: greater than any before, and in the order of starts for agents without state.

/// Returns the generation of a new start (docs/protocol.md §3): never below the clock, always above the last one.
pub fn next_generation(persisted: Option<u64>, now_unix_ms: u64) -> u64 {
    persisted.map_or(now_unix_ms, |last| last.saturating_add(1).max(now_unix_ms)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn generations_grow_whatever_the_clock_does(last in 0..u64::MAX, now: u64) {
            prop_assert!(next_generation(Some(last), now) > last);
            prop_assert!(next_generation(Some(last), now) >= now);
        }
    }
}
