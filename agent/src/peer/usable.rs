//! Which endpoints may be dialled: nobody can point us at addresses that only mischief or mistakes would name.

use std::net::IpAddr;

use crate::peer::statement::EndpointAddress;

/// Keeps the endpoints that can be dialled, in order and without duplicates. Loopback addresses stay only when there
/// is nothing else, as when a whole mesh runs on one machine.
pub fn usable(endpoints: &[EndpointAddress]) -> Vec<EndpointAddress> {
    let mut kept: Vec<EndpointAddress> = Vec::new();
    for endpoint in endpoints.iter().filter(|endpoint| endpoint.port != 0 && is_unicast(endpoint.address)) {
        if kept.iter().all(|other| other.socket_address() != endpoint.socket_address()) {
            kept.push(endpoint.clone());
        }
    }
    let is_loopback = |endpoint: &EndpointAddress| endpoint.address.to_canonical().is_loopback();
    if !kept.iter().all(is_loopback) {
        kept.retain(|endpoint| !is_loopback(endpoint));
    }
    kept
}

/// Tells whether an address names one host that can be reached from another link, or this host itself.
pub fn is_unicast(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let reserved = v4.octets()[0] == 0 || v4.octets()[0] >= 240;
            !(reserved || v4.is_broadcast() || v4.is_multicast() || v4.is_link_local())
        }
        IpAddr::V6(v6) => !(v6.is_unspecified() || v6.is_multicast() || v6.is_unicast_link_local()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::testing::endpoint;

    fn addresses(texts: &[&str]) -> Vec<String> {
        let all: Vec<_> = texts.iter().map(|text| endpoint(text)).collect();
        usable(&all).iter().map(|endpoint| endpoint.address.to_string()).collect()
    }

    #[test]
    fn classes_that_no_other_site_can_reach_are_dropped() {
        let bad = [
            "127.0.0.1",
            "::1",
            "224.0.0.1",
            "ff02::1",
            "169.254.169.254",
            "fe80::1",
            "0.0.0.0",
            "::",
            "255.255.255.255",
            "::ffff:127.0.0.1",
            "::ffff:169.254.0.1",
            "240.0.0.1",
        ];
        assert_eq!(addresses(&[&bad[..], &["192.0.2.1", "2001:db8::1"]].concat()), ["192.0.2.1", "2001:db8::1"]);
    }

    #[test]
    fn loopback_stays_when_there_is_nothing_else() {
        assert_eq!(addresses(&["127.0.0.1", "169.254.0.1"]), ["127.0.0.1"]);
    }

    #[test]
    fn one_address_in_two_spellings_counts_once_and_port_zero_never() {
        assert_eq!(addresses(&["192.0.2.1", "::ffff:192.0.2.1"]), ["192.0.2.1"]);
        let portless = EndpointAddress { port: 0, ..endpoint("192.0.2.1") };
        assert!(usable(&[portless]).is_empty());
    }
}
