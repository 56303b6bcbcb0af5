//! How often one address may show wrong credentials: passwords are not to be found by trying.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Wrong credentials that an address may show in a row.
pub(super) const FAILURES_MAX: u32 = 20;
/// After so long one more is free.
pub(super) const FORGIVEN_AFTER: Duration = Duration::from_secs(3);
/// The most addresses that are told apart; beyond them all others count as one.
const ADDRESSES_MAX: usize = 4_096;
/// Stands for every address beyond.
const OTHERS: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// Failures by address. An address is forgotten once its last failure would be.
#[derive(Debug, Default)]
pub(super) struct Attempts(Mutex<HashMap<IpAddr, Instant>>);

impl Attempts {
    /// Tells whether an address may try, at this moment.
    pub(super) fn may_try(&self, address: IpAddr, now: Instant) -> bool {
        let all = self.0.lock();
        let key = key(&all, address);
        // What is stored is when every failure is forgiven.
        all.get(&key).is_none_or(|free_at| *free_at + FORGIVEN_AFTER <= now + FORGIVEN_AFTER * FAILURES_MAX)
    }

    /// Counts a failure.
    pub(super) fn failed(&self, address: IpAddr, now: Instant) {
        let mut all = self.0.lock();
        if all.len() >= ADDRESSES_MAX {
            all.retain(|_, free_at| *free_at > now);
        }
        let key = key(&all, address);
        let free_at = all.entry(key).or_insert(now);
        *free_at = (*free_at).max(now) + FORGIVEN_AFTER;
    }
}

/// Of IPv6 a client has a whole network of 64 bits.
fn key(all: &HashMap<IpAddr, Instant>, address: IpAddr) -> IpAddr {
    let key = match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    };
    if all.len() >= ADDRESSES_MAX && !all.contains_key(&key) { OTHERS } else { key }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn an_address_that_fails_too_often_waits_and_others_do_not() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        (0..FAILURES_MAX - 1).for_each(|_| attempts.failed(v4(1), now));
        assert!(attempts.may_try(v4(1), now));
        attempts.failed(v4(1), now);
        assert!(!attempts.may_try(v4(1), now) && attempts.may_try(v4(2), now));
        assert!(!attempts.may_try("::ffff:192.0.2.1".parse().unwrap(), now));
        assert!(attempts.may_try(v4(1), now + FORGIVEN_AFTER + Duration::from_millis(1)));
    }

    #[test]
    fn addresses_of_one_network_count_together_and_too_many_as_one() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        let v6 = |last: u128| IpAddr::V6(Ipv6Addr::from_bits((0x2001_0db8 << 96) | last));
        (0..u128::from(FAILURES_MAX)).for_each(|last| attempts.failed(v6(last), now));
        assert!(!attempts.may_try(v6(u128::from(u64::MAX)), now) && attempts.may_try(v6(1 << 64), now));
        for number in 0..2 * ADDRESSES_MAX as u32 {
            attempts.failed(IpAddr::V4(number.into()), now);
        }
        assert!(attempts.0.lock().len() <= ADDRESSES_MAX + 1);
        assert!(!attempts.may_try(v4(9), now), "the others");
        attempts.failed(v4(9), now + FORGIVEN_AFTER * 2 * ADDRESSES_MAX as u32);
        assert_eq!(attempts.0.lock().len(), 1);
    }
}
