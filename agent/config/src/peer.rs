//! Sites that are trusted by key.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use crate::key::PublicKey;
use crate::name::SiteName;

/// The most configured peers of one site.
pub const PEERS_MAX: usize = 1_024;
/// The most addresses of one configured peer.
pub const PEER_ADDRESSES_MAX: usize = 16;

/// A site that is known beforehand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The name that the key is bound to.
    pub site: SiteName,
    /// Its Ed25519 public key.
    pub public_key: PublicKey,
    /// Where it can be dialled, `host:port` (host may be a DNS name); may be empty.
    pub addresses: Vec<HostPort>,
}

/// A name as bound to a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pin {
    /// The name.
    pub site: SiteName,
    /// The key.
    pub public_key: PublicKey,
}

/// A host name or address with a port, still to be resolved.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    /// DNS name or IP literal without brackets.
    pub host: String,
    /// Port, never 0.
    pub port: u16,
}

/// Which keys may join.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Trust {
    /// Any site that proves the mesh key; a name is bound to the first key seen for it.
    #[default]
    SharedKey,
    /// Only the keys listed under `peers`.
    Pinned,
}

/// Why a text is no `host:port`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostPortError {
    /// The host is empty or has characters that no name has.
    #[error(
        "has no valid host; write a name or an address and a port like gw.example.com:51820 or [2001:db8::1]:51820"
    )]
    Host,
    /// Not 1 to 65535.
    #[error("has no valid port; a port is a number from 1 to 65535")]
    Port,
}

impl HostPort {
    /// Reads `host:port`, `[IPv6]:port`, or a host alone with `default_port`.
    ///
    /// # Errors
    /// [`HostPortError`] says which part is wrong.
    pub fn parse(text: &str, default_port: u16) -> Result<Self, HostPortError> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self { host: address.to_string(), port: default_port });
        }
        if let Some((inner, after)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            let address: Ipv6Addr = inner.parse().map_err(|_| HostPortError::Host)?;
            let port = match after {
                "" => default_port,
                _ => port(after.strip_prefix(':').ok_or(HostPortError::Port)?)?,
            };
            return Ok(Self { host: address.to_string(), port });
        }
        let (host, port) = match text.split_once(':') {
            Some((host, digits)) => (host, port(digits)?),
            None => (text, default_port),
        };
        if is_host_name(host) { Ok(Self { host: host.to_owned(), port }) } else { Err(HostPortError::Host) }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

fn port(digits: &str) -> Result<u16, HostPortError> {
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        digits.parse().ok().filter(|port| *port != 0).ok_or(HostPortError::Port)
    } else {
        Err(HostPortError::Port)
    }
}

/// Tells whether a text can be a host name: 1 to 253 letters, digits, dots, dashes and underscores.
pub(crate) fn is_host_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    (1..=253).contains(&text.len()) && text.bytes().all(allowed) && !text.starts_with(['.', '-'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hosts_are_names_or_addresses_with_or_without_port() {
        for (text, shown) in [
            ("gw.example.com:51821", "gw.example.com:51821"),
            ("gw.example.com", "gw.example.com:51820"),
            ("192.0.2.1:1", "192.0.2.1:1"),
            ("192.0.2.1", "192.0.2.1:51820"),
            ("2001:db8::1", "[2001:db8::1]:51820"),
            ("[2001:db8::1]", "[2001:db8::1]:51820"),
            ("[2001:db8::1]:9", "[2001:db8::1]:9"),
        ] {
            assert_eq!(HostPort::parse(text, 51820).map(|host| host.to_string()), Ok(shown.to_owned()));
        }
    }

    #[test]
    fn bad_hosts_and_ports_are_told_apart() {
        for text in ["", ":80", "a b:80", "-a:80", "[10.0.0.1]:80", "http//x:80"] {
            assert_eq!(HostPort::parse(text, 1), Err(HostPortError::Host), "{text}");
        }
        for text in ["a:0", "a:65536", "a:", "a:+80", "a:80:90", "[::1]80", "https://a"] {
            assert_eq!(HostPort::parse(text, 1), Err(HostPortError::Port), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_displayed_host_reads_back(host in "[a-z0-9]{1,20}\\.[a-z]{2,5}", port in 1u16..) {
            let written = HostPort { host, port };
            prop_assert_eq!(HostPort::parse(&written.to_string(), 1), Ok(written));
        }
    }
}
