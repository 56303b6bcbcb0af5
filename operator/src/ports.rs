//! The listener ports of a Site: which port agents listen on for each port of a RemoteApp.
//!
//! Pure. A port that was given stays; a new one is chosen by hash, so that it is mostly the same again when every record
//! is lost, and then by looking onwards.

use std::collections::{BTreeMap, BTreeSet};

use wovenet_crds::site::ListenerPorts;

/// Names one port of one RemoteApp: namespace, object, port.
pub type Key = (String, String, String);

/// Gives each of `wanted` a port of `pool`. `given` is what they have so far; ports of `resting` were given back lately and
/// are used last, those of `led_to` are new to nobody: clients are still sent there. Returns the ports; one that is missing found none.
pub fn allocate(
    pool: ListenerPorts,
    wanted: &[Key],
    given: &BTreeMap<Key, u16>,
    resting: &BTreeSet<u16>,
    led_to: &BTreeSet<u16>,
) -> BTreeMap<Key, u16> {
    let mut used = BTreeSet::new();
    let mut ports = BTreeMap::new();
    for key in wanted {
        if let Some(port) = given.get(key).filter(|port| (pool.first..=pool.last).contains(*port))
            && used.insert(*port)
        {
            ports.insert(key.clone(), *port);
        }
    }
    let is_free = |port: &u16, used: &BTreeSet<u16>| !used.contains(port) && !led_to.contains(port);
    for key in wanted {
        if ports.contains_key(key) {
            continue;
        }
        let found = candidates(pool, key)
            .find(|port| is_free(port, &used) && !resting.contains(port))
            .or_else(|| candidates(pool, key).find(|port| is_free(port, &used)));
        if let Some(port) = found {
            used.insert(port);
            ports.insert(key.clone(), port);
        }
    }
    ports
}

fn candidates(pool: ListenerPorts, key: &Key) -> impl Iterator<Item = u16> {
    let count = u64::from(pool.last.saturating_sub(pool.first)) + 1;
    let start = hash(key) % count;
    (0..count).map(move |step| pool.first + ((start + step) % count) as u16)
}

/// FNV-1a: stable over versions and machines, which the library's own hasher is not.
fn hash((namespace, name, port): &Key) -> u64 {
    let bytes = [namespace, "/", name, "/", port].into_iter().flat_map(|part| part.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NONE: BTreeSet<u16> = BTreeSet::new();

    fn key(number: usize) -> Key {
        ("ns".into(), format!("app-{number}"), "http".into())
    }

    #[test]
    fn a_port_once_given_stays_whatever_comes_and_goes() {
        let pool = ListenerPorts { first: 20_000, last: 20_099 };
        let first = allocate(pool, &[key(1)], &BTreeMap::new(), &NONE, &NONE);
        let all: Vec<Key> = (0..100).map(key).collect();
        let then = allocate(pool, &all, &first, &NONE, &NONE);
        assert_eq!((then.len(), then[&key(1)]), (100, first[&key(1)]));
    }

    #[test]
    fn the_same_app_gets_the_same_port_when_every_record_is_lost() {
        let pool = ListenerPorts::default();
        let anew = || allocate(pool, &[key(7)], &BTreeMap::new(), &NONE, &NONE);
        assert_eq!(anew(), anew());
    }

    #[test]
    fn a_resting_port_is_used_only_when_no_other_is_left() {
        let pool = ListenerPorts { first: 20_000, last: 20_001 };
        let resting = BTreeSet::from([20_000]);
        let one = allocate(pool, &[key(1)], &BTreeMap::new(), &resting, &NONE);
        assert_eq!(one[&key(1)], 20_001);
        assert_eq!(allocate(pool, &[key(1), key(2)], &one, &resting, &NONE).len(), 2);
    }

    #[test]
    fn a_port_to_which_clients_are_still_sent_is_kept_by_its_owner_and_given_to_nobody_else() {
        let pool = ListenerPorts { first: 20_000, last: 20_001 };
        let led_to = BTreeSet::from([20_000, 20_001]);
        let own = BTreeMap::from([(key(1), 20_000)]);
        assert_eq!(allocate(pool, &[key(1), key(2)], &own, &NONE, &led_to), own);
    }

    proptest! {
        #[test]
        fn no_port_is_given_twice_and_all_are_of_the_pool(count in 0usize..60, size in 1u16..50, old in 0usize..60) {
            let pool = ListenerPorts { first: 20_000, last: 20_000 + size - 1 };
            let given = (0..old).map(|number| (key(number), 19_990 + number as u16)).collect();
            let wanted: Vec<Key> = (0..count).map(key).collect();
            let ports = allocate(pool, &wanted, &given, &NONE, &NONE);
            let different: BTreeSet<u16> = ports.values().copied().collect();
            prop_assert_eq!(different.len(), ports.len());
            prop_assert_eq!(ports.len(), count.min(size as usize));
            prop_assert!(different.iter().all(|port| (pool.first..=pool.last).contains(port)));
        }
    }
}
