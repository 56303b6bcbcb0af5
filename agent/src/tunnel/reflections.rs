//! Addresses at which this site met itself: what others state, or what a NAT does, may lead back here. Takes `now`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long such an address is not dialled again.
pub const REFLECTION_PAUSE: Duration = Duration::from_secs(10 * 60);
/// The most addresses that are remembered; of more, the oldest is forgotten.
const REFLECTIONS_MAX: usize = 1_024;

/// When this site last met itself where.
#[derive(Debug, Default)]
pub(super) struct Reflections(BTreeMap<SocketAddr, Instant>);

impl Reflections {
    pub(super) fn note(&mut self, address: SocketAddr, now: Instant) {
        if self.0.len() >= REFLECTIONS_MAX
            && let Some(oldest) = self.0.iter().min_by_key(|(_, since)| **since).map(|(address, _)| *address)
        {
            self.0.remove(&oldest);
        }
        self.0.insert(address, now);
    }

    /// Tells whether to leave the address alone.
    pub(super) fn contains(&self, address: &SocketAddr, now: Instant) -> bool {
        self.0.get(address).is_some_and(|since| now.saturating_duration_since(*since) < REFLECTION_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    #[test]
    fn fault_13_an_address_that_led_back_here_is_left_alone_for_ten_minutes() {
        let (mut reflections, now) = (Reflections::default(), Instant::now());
        reflections.note(address(1), now);
        assert!(reflections.contains(&address(1), now + REFLECTION_PAUSE - Duration::from_secs(1)));
        assert!(!reflections.contains(&address(2), now));
        assert!(!reflections.contains(&address(1), now + REFLECTION_PAUSE));
    }

    #[test]
    fn of_too_many_addresses_the_oldest_are_forgotten() {
        let (mut reflections, start) = (Reflections::default(), Instant::now());
        for port in 0..2_000 {
            reflections.note(address(port), start + Duration::from_millis(port.into()));
        }
        assert_eq!(reflections.0.len(), REFLECTIONS_MAX);
        assert!(reflections.contains(&address(1_999), start) && !reflections.contains(&address(0), start));
    }
}
