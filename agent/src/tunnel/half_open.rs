//! Handshakes that are under way, counted so that a flood of them is answered with tokens, then with silence (docs/protocol.md §6).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

/// The most half-open handshakes of an agent (docs/protocol.md §6).
pub const HALF_OPEN_MAX: usize = 64;
/// The most half-open handshakes of one address block, so that one host cannot take every place.
pub const HALF_OPEN_PER_BLOCK_MAX: usize = 32;
/// More half-open handshakes than this in all make a dialler prove its address first (docs/protocol.md §6).
const RETRY_ABOVE: usize = 16;
/// This many half-open handshakes of one address block make it prove its address first (docs/protocol.md §6).
const RETRY_BLOCK_FROM: usize = 8;
/// The prefix length of an IPv6 block; an IPv4 block is one address.
const BLOCK_PREFIX_IPV6: u32 = 56;

/// What to do with a new handshake.
#[derive(Debug)]
pub(super) enum Admission {
    /// It has this place among those under way.
    Accept(Place),
    Retry,
    Ignore,
}

/// Counts half-open handshakes over all endpoints of an agent.
#[derive(Clone, Debug, Default)]
pub(super) struct HalfOpen {
    blocks: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

/// Keeps one place among the half-open handshakes.
#[derive(Debug)]
pub(super) struct Place {
    half_open: HalfOpen,
    block: IpAddr,
}

impl HalfOpen {
    /// Decides on a handshake from `address`; `proven` tells whether it answered a token.
    pub(super) fn admit(&self, address: IpAddr, proven: bool) -> Admission {
        let (mut blocks, block) = (self.blocks.lock(), block(address));
        let (all, own) = (blocks.values().sum::<usize>(), blocks.get(&block).copied().unwrap_or(0));
        match (all >= HALF_OPEN_MAX || own >= HALF_OPEN_PER_BLOCK_MAX, all > RETRY_ABOVE || own >= RETRY_BLOCK_FROM) {
            (true, _) => Admission::Ignore,
            (false, true) if !proven => Admission::Retry,
            _ => {
                *blocks.entry(block).or_default() += 1;
                Admission::Accept(Place { half_open: self.clone(), block })
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut blocks = self.half_open.blocks.lock();
        if let Some(count) = blocks.get_mut(&self.block) {
            *count -= 1;
            if *count == 0 {
                blocks.remove(&self.block);
            }
        }
    }
}

fn block(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let mask = u128::MAX << (128 - BLOCK_PREFIX_IPV6);
            IpAddr::V6((u128::from(address) & mask).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Admits as many handshakes of a host as possible; the rest are what is returned last.
    fn fill(half_open: &HalfOpen, host: &str, proven: bool) -> (Vec<Place>, Admission) {
        let mut places = Vec::new();
        loop {
            match half_open.admit(address(host), proven) {
                Admission::Accept(place) => places.push(place),
                other => return (places, other),
            }
        }
    }

    #[test]
    fn one_host_must_prove_its_address_then_waits_while_others_get_in() {
        let half_open = HalfOpen::default();
        let (unproven, next) = fill(&half_open, "192.0.2.1", false);
        assert!(unproven.len() == RETRY_BLOCK_FROM && matches!(next, Admission::Retry));
        let (proven, next) = fill(&half_open, "192.0.2.1", true);
        assert!(unproven.len() + proven.len() == HALF_OPEN_PER_BLOCK_MAX && matches!(next, Admission::Ignore));
        assert!(matches!(half_open.admit(address("192.0.2.2"), true), Admission::Accept(_)));
        drop((unproven, proven));
        assert!(matches!(half_open.admit(address("192.0.2.1"), false), Admission::Accept(_)));
    }

    #[test]
    fn there_are_never_more_than_the_maximum_in_all() {
        let half_open = HalfOpen::default();
        let hosts = (0..HALF_OPEN_MAX).map(|host| address(&format!("198.51.100.{host}")));
        let places: Vec<_> = hosts.map(|host| half_open.admit(host, true)).collect();
        assert!(places.iter().all(|admission| matches!(admission, Admission::Accept(_))));
        assert!(matches!(half_open.admit(address("203.0.113.1"), true), Admission::Ignore));
    }

    #[test]
    fn an_ipv6_host_is_counted_by_its_network() {
        assert_eq!(block(address("2001:db8:0:1::1")), block(address("2001:db8:0:2:ffff::2")));
        assert_ne!(block(address("2001:db8:0:100::1")), block(address("2001:db8:0:200::1")));
        assert_eq!(block(address("::ffff:192.0.2.1")), address("192.0.2.1"));
    }
}
