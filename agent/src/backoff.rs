//! Waiting between retries: exponential, with full jitter, reset only after a success that lasted.

use std::time::{Duration, Instant};

/// The least wait as a fraction of the first ceiling, so that jitter never makes a busy loop.
const FLOOR_FRACTION: u32 = 10;
/// Doublings after which the ceiling no longer grows whatever the limits are.
const DOUBLINGS_MAX: u32 = 30;

/// Why limits were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BackoffError {
    /// The first wait is zero.
    #[error("the first wait of a back-off must not be zero")]
    Zero,
    /// The longest wait is below the first one.
    #[error("the longest wait of a back-off must not be below the first one")]
    Order,
}

/// The limits of a back-off, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackoffLimits {
    first: Duration,
    longest: Duration,
    calm: Duration,
}

impl BackoffLimits {
    /// The limits for MQTT brokers (docs/protocol.md §3).
    pub const BROKER: Self =
        Self { first: Duration::from_secs(1), longest: Duration::from_secs(60), calm: Duration::from_secs(60) };
    /// The limits for dialling an endpoint of a peer.
    pub const DIAL: Self =
        Self { first: Duration::from_millis(500), longest: Duration::from_secs(30), calm: Duration::from_secs(60) };

    /// Checks limits: the ceiling of the first wait, of the longest one, and how long a success must last to reset.
    ///
    /// # Errors
    /// [`BackoffError`] when no wait could satisfy them.
    pub fn new(first: Duration, longest: Duration, calm: Duration) -> Result<Self, BackoffError> {
        match () {
            () if first.is_zero() => Err(BackoffError::Zero),
            () if longest < first => Err(BackoffError::Order),
            () => Ok(Self { first, longest, calm }),
        }
    }

    fn ceiling(&self, attempt: u32) -> Duration {
        let factor = 1u32 << attempt.min(DOUBLINGS_MAX);
        self.first.saturating_mul(factor).min(self.longest)
    }

    fn floor(&self) -> Duration {
        self.first / FLOOR_FRACTION
    }
}

/// The state of one retried thing.
#[derive(Clone, Debug)]
pub struct Backoff {
    limits: BackoffLimits,
    attempt: u32,
    succeeded_at: Option<Instant>,
}

impl Backoff {
    /// Starts without a failure.
    pub fn new(limits: BackoffLimits) -> Self {
        Self { limits, attempt: 0, succeeded_at: None }
    }

    /// Returns the failures since the last reset.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Notes a success at `now`; it resets nothing until it has lasted.
    pub fn succeeded(&mut self, now: Instant) {
        self.succeeded_at.get_or_insert(now);
    }

    /// Notes a failure at `now` and returns how long to wait, at random.
    pub fn failed(&mut self, now: Instant) -> Duration {
        self.failed_with(now, rand::random())
    }

    /// As [`Backoff::failed`], with the randomness given: a fraction from 0 to 1 of the wait's ceiling.
    pub fn failed_with(&mut self, now: Instant, fraction: f64) -> Duration {
        let lasted = self.succeeded_at.take().map(|at| now.saturating_duration_since(at));
        if lasted.is_some_and(|lasted| lasted >= self.limits.calm) {
            self.attempt = 0;
        }
        let ceiling = self.limits.ceiling(self.attempt);
        self.attempt = self.attempt.saturating_add(1);
        ceiling.mul_f64(fraction.clamp(0.0, 1.0)).clamp(self.limits.floor(), self.limits.longest)
    }

    /// Forgets all failures, for a retry that has a new reason: another address, another network.
    pub fn reset(&mut self) {
        self.attempt = 0;
        self.succeeded_at = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn impossible_limits_are_refused() {
        let second = Duration::from_secs(1);
        assert_eq!(BackoffLimits::new(Duration::ZERO, second, second), Err(BackoffError::Zero));
        assert_eq!(BackoffLimits::new(second, second / 2, second), Err(BackoffError::Order));
    }

    #[test]
    fn a_short_success_resets_nothing_and_a_long_one_does() {
        let start = Instant::now();
        let mut backoff = Backoff::new(BackoffLimits::BROKER);
        for _ in 0..5 {
            backoff.failed_with(start, 1.0);
        }
        backoff.succeeded(start);
        assert_eq!(backoff.failed_with(start + Duration::from_secs(59), 1.0), Duration::from_secs(32));
        backoff.succeeded(start);
        assert_eq!(backoff.failed_with(start + Duration::from_secs(60), 1.0), Duration::from_secs(1));
    }

    proptest! {
        #[test]
        fn every_wait_is_within_the_limits(
            first in 1u64..10_000, extra in 0u64..1_000_000, fractions in proptest::collection::vec(0.0f64..1.0, 1..80),
        ) {
            let limits = BackoffLimits::new(
                Duration::from_millis(first), Duration::from_millis(first + extra), Duration::from_secs(60),
            ).unwrap();
            let mut backoff = Backoff::new(limits);
            for fraction in fractions {
                let wait = backoff.failed_with(Instant::now(), fraction);
                prop_assert!(wait >= limits.floor() && wait <= limits.longest);
            }
        }

        #[test]
        fn ceilings_double_up_to_the_longest(attempt in 0u32..200) {
            let (now, next) = (BackoffLimits::DIAL.ceiling(attempt), BackoffLimits::DIAL.ceiling(attempt + 1));
            prop_assert_eq!(next, (now * 2).min(BackoffLimits::DIAL.longest));
        }
    }
}
