//! The addresses and ports of a range app.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
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

/// Why an entry of a range was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// Not `N` or `N-M`.
    #[error("is no port range; write one port like 5900, or two without blanks like 5900-5990")]
    PortForm,
    /// A port over 65535.
    #[error("has a port above 65535")]
    PortTooLarge,
    /// The first port is the greater one.
    #[error("has its first port after its last one; write the smaller port first")]
    PortOrder,
    /// `a-b` instead of a block.
    #[error("is no address block; two addresses with a dash are not supported, write a block like 10.0.2.0/24")]
    AddressDash,
    /// Not an address or a block.
    #[error("is no address or block; write it like 10.0.2.5, 10.0.2.0/24 or 2001:db8::/64")]
    AddressForm,
    /// More bits than the address has.
    #[error("has a prefix that is too long; IPv4 has at most /32, IPv6 /128")]
    PrefixTooLong,
}

/// Reads a port range: `N` or `N-M`, digits only, N ≤ M.
///
/// # Errors
/// [`RangeError`] says which form is right.
pub fn parse_ports(text: &str) -> Result<RangeInclusive<u16>, RangeError> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (port(first)?, port(last)?);
    if first <= last { Ok(first..=last) } else { Err(RangeError::PortOrder) }
}

fn port(text: &str) -> Result<u16, RangeError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(RangeError::PortForm);
    }
    text.parse().map_err(|_| RangeError::PortTooLarge)
}

/// Reads an address or a block; host bits are cleared and IPv4-mapped IPv6 is folded to IPv4.
///
/// # Errors
/// [`RangeError`] says which form is right.
pub fn parse_block(text: &str) -> Result<IpNet, RangeError> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| match text.contains('-') {
        true => RangeError::AddressDash,
        false => RangeError::AddressForm,
    })?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        None => bits,
        Some(digits) if digits.is_empty() || digits.len() > 3 => return Err(RangeError::AddressForm),
        Some(digits) if !digits.bytes().all(|byte| byte.is_ascii_digit()) => return Err(RangeError::AddressForm),
        Some(digits) => digits.parse().map_err(|_| RangeError::PrefixTooLong)?,
    };
    let (address, prefix) = fold(address, prefix);
    Ok(IpNet::new(address, prefix).map_err(|_| RangeError::PrefixTooLong)?.trunc())
}

fn fold(address: IpAddr, prefix: u8) -> (IpAddr, u8) {
    let mapped: Option<Ipv4Addr> = match address {
        IpAddr::V6(address) => address.to_ipv4_mapped(),
        IpAddr::V4(_) => None,
    };
    match (mapped, prefix.checked_sub(96)) {
        (Some(v4), Some(rest)) if rest <= 32 => (v4.into(), rest),
        _ => (address, prefix),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn port_ranges_are_one_or_two_numbers_in_order() {
        assert_eq!(parse_ports("5900"), Ok(5900..=5900));
        assert_eq!(parse_ports("5900-5990"), Ok(5900..=5990));
        assert_eq!(parse_ports("0-65535"), Ok(0..=65535));
        for text in ["", "-", "5900-", "-5900", "5900 - 5990", "+1", "a", "1-2-3", "0x10"] {
            assert_eq!(parse_ports(text), Err(RangeError::PortForm), "{text}");
        }
        assert_eq!(parse_ports("65536"), Err(RangeError::PortTooLarge));
        assert_eq!(parse_ports("2-1"), Err(RangeError::PortOrder));
    }

    #[test]
    fn blocks_may_have_host_bits_and_fold_mapped_addresses() {
        for (text, block) in [
            ("10.0.2.7", "10.0.2.7/32"),
            ("10.0.2.7/24", "10.0.2.0/24"),
            ("2001:db8::1/64", "2001:db8::/64"),
            ("::ffff:10.0.2.7", "10.0.2.7/32"),
            ("::ffff:10.0.2.7/120", "10.0.2.0/24"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(parse_block(text).map(|net| net.to_string()), Ok(block.to_owned()), "{text}");
        }
        assert_eq!(parse_block("10.0.0.0/33"), Err(RangeError::PrefixTooLong));
        assert_eq!(parse_block("::/129"), Err(RangeError::PrefixTooLong));
        assert_eq!(parse_block("::/999"), Err(RangeError::PrefixTooLong));
        assert_eq!(parse_block("10.0.2.1-10.0.2.9"), Err(RangeError::AddressDash));
        for text in ["", "host", "10.0.0.0/", "10.0.0.0/+8", "10.0.0"] {
            assert_eq!(parse_block(text), Err(RangeError::AddressForm), "{text}");
        }
    }

    #[test]
    fn a_range_matches_mapped_targets_and_never_port_0() {
        let range = TargetRange {
            addresses: vec![parse_block("10.0.2.0/24").expect("block")],
            ports: vec![parse_ports("0-100").expect("ports")],
        };
        assert!(range.contains("10.0.2.9:100".parse().expect("socket")));
        assert!(range.contains("[::ffff:10.0.2.9]:1".parse().expect("socket")));
        assert!(!range.contains("10.0.2.9:0".parse().expect("socket")));
        assert!(!range.contains("10.0.3.1:1".parse().expect("socket")));
        assert!(!range.contains("10.0.2.9:101".parse().expect("socket")));
    }

    #[test]
    fn only_a_block_of_one_address_names_it_exactly() {
        let range = |text| TargetRange { addresses: vec![parse_block(text).expect("block")], ports: vec![] };
        let loopback = "127.0.0.1".parse().expect("address");
        assert!(range("127.0.0.1").names_exactly(loopback));
        assert!(!range("127.0.0.0/8").names_exactly(loopback));
    }

    proptest! {
        #[test]
        fn a_block_contains_the_address_that_it_was_written_with(address: IpAddr, prefix in 0u8..=32) {
            let block = parse_block(&format!("{address}/{prefix}")).expect("block");
            prop_assert!(block.contains(&address) || block.contains(&address.to_canonical()));
        }

        #[test]
        fn no_text_panics(text in "[0-9a-f.:/-]{0,30}|\\PC{0,20}") {
            let _ = (parse_ports(&text), parse_block(&text));
        }
    }
}
