//! How many connections each client address has, so that one address cannot take them all.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

/// Connections by client address. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Places {
    per_address: usize,
    taken: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

/// The place of one connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    address: IpAddr,
}

impl Places {
    /// Gives each address up to `per_address` places.
    pub fn new(per_address: usize) -> Self {
        Self { per_address, taken: Arc::default() }
    }

    /// Takes a place for a connection from `address`; `None` when that address has all of its own.
    pub fn take(&self, address: IpAddr) -> Option<Place> {
        let address = address.to_canonical();
        let mut taken = self.taken.lock();
        let count = taken.get(&address).copied().unwrap_or_default();
        if count >= self.per_address {
            return None;
        }
        taken.insert(address, count + 1);
        Some(Place { places: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock();
        if let Some(count) = taken.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_with_all_its_places_waits_for_one_while_others_get_in_and_nothing_is_kept() {
        let (places, one, other) = (Places::new(2), [192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let (first, second) = (places.take(one), places.take("::ffff:192.0.2.1".parse().unwrap()));
        assert!(second.is_some() && places.take(one).is_none());
        assert!(places.take(other).is_some());
        drop(first);
        assert!(places.take(one).is_some());
        drop(second);
        assert!(places.taken.lock().is_empty());
    }
}
