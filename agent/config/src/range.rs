//! The addresses and ports of a range app.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use ipnet::IpNet;

/// Addresses × ports that a range app lets its users choose from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetRange {
    /// Address blocks, host bits cleared.
    pub addresses: Vec<IpNet>,
    /// Inclusive port ranges.
    pub ports: Vec<RangeInclusive<u16>>,
}

impl TargetRange {
    /// Tells whether `target` lies in the range. IPv4-mapped IPv6 is folded on both sides; port 0 never matches.
    pub fn contains(&self, target: SocketAddr) -> bool {
        let address = target.ip().to_canonical();
        target.port() != 0
            && self.ports.iter().any(|ports| ports.contains(&target.port()))
            && self.addresses.iter().any(|block| block.contains(&address))
    }

    /// Tells whether one block of the range names exactly this address: the explicit permission for special addresses.
    pub fn names_exactly(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.addresses.iter().any(|block| block.addr() == address && block.prefix_len() == block.max_prefix_len())
    }
}
