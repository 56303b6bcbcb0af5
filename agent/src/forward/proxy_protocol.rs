//! The PROXY protocol version 2 header (haproxy's proxy-protocol.txt, section 2.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What every version 2 header begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
const VERSION_2_LOCAL: u8 = 0x20;
const VERSION_2_PROXY: u8 = 0x21;
const UNSPECIFIED: u8 = 0x00;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;

/// Writes the header. `client` is the peer site's claim; without one the command is LOCAL. An app on a unix socket
/// has no address of its own and is told the unspecified one.
pub(super) fn encode(client: Option<SocketAddr>, app: Option<SocketAddr>) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    let Some(client) = client.map(canonical) else {
        header.extend([VERSION_2_LOCAL, UNSPECIFIED, 0, 0]);
        return header;
    };
    let app = app.map_or_else(|| unspecified_like(client), canonical);
    let (family, mut addresses) = match (client.ip(), app.ip()) {
        (IpAddr::V4(client), IpAddr::V4(app)) => (TCP_OVER_IPV4, [client.octets(), app.octets()].concat()),
        (client, app) => (TCP_OVER_IPV6, [to_ipv6(client).octets(), to_ipv6(app).octets()].concat()),
    };
    addresses.extend(client.port().to_be_bytes());
    addresses.extend(app.port().to_be_bytes());
    // 12 or 36 bytes.
    header.extend([VERSION_2_PROXY, family, 0, addresses.len() as u8]);
    header.extend(addresses);
    header
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn unspecified_like(client: SocketAddr) -> SocketAddr {
    match client {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

fn to_ipv6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: [u8; 12] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A];

    fn address(text: &str) -> Option<SocketAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn ipv4_on_both_sides_is_28_bytes() {
        let expected = [&START[..], &[0x21, 0x11, 0, 12, 192, 0, 2, 1, 10, 0, 0, 7, 0xC0, 0x01, 0x00, 0x50]].concat();
        assert_eq!(encode(address("192.0.2.1:49153"), address("10.0.0.7:80")), expected);
    }

    #[test]
    fn ipv6_on_both_sides_is_52_bytes() {
        let header = encode(address("[2001:db8::1]:1"), address("[2001:db8::2]:258"));
        assert_eq!(header.len(), 52);
        assert_eq!(header[12..20], [0x21, 0x21, 0, 36, 0x20, 0x01, 0x0d, 0xb8]);
        assert_eq!((header[31], header[47]), (1, 2));
        assert_eq!(header[48..], [0, 1, 1, 2]);
    }

    #[test]
    fn mixed_families_are_told_as_ipv6_and_mapped_addresses_are_folded() {
        let header = encode(address("192.0.2.1:1"), address("[2001:db8::2]:2"));
        assert_eq!(header[13], 0x21);
        assert_eq!(header[16..32], Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped().octets());
        assert_eq!(encode(address("[::ffff:192.0.2.1]:1"), address("10.0.0.7:80"))[13], 0x11);
    }

    #[test]
    fn an_unknown_client_is_local_and_a_unix_app_is_unspecified() {
        assert_eq!(encode(None, address("10.0.0.7:80")), [&START[..], &[0x20, 0, 0, 0]].concat());
        assert_eq!(encode(address("192.0.2.1:1"), None)[20..], [0, 0, 0, 0, 0, 1, 0, 0]);
    }
}
