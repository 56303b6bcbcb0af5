//! Whether a peer's stream may reach an app, and where its connector then dials.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use wovenet_config::app::{ExposedApp, Target};
use wovenet_config::name::PortName;
use wovenet_config::range::TargetRange;
use wovenet_config::socket::AppSocket;

use crate::peer::PeerIdentity;
use crate::tunnel::StreamHeader;

/// The metadata address of Amazon's network in IPv6.
const METADATA_IPV6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254);

/// Why a stream was refused. For the local audit log only; the peer is never told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    UnknownApp,
    SiteNotAllowed,
    NoSuchPort,
    TargetMissing,
    TargetMalformed,
    TargetOutside,
    TargetDenied,
}

impl Cause {
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::UnknownApp => "unknown_app",
            Self::SiteNotAllowed => "site_not_allowed",
            Self::NoSuchPort => "no_such_port",
            Self::TargetMissing => "target_missing",
            Self::TargetMalformed => "target_malformed",
            Self::TargetOutside => "target_outside_range",
            Self::TargetDenied => "target_denied",
        }
    }
}

/// Decides on one stream. `app` is what is exposed under the header's name; `node_addresses` are this node's own, once they
/// are known: until then a range is reached only where it names addresses one by one.
pub(super) fn decide(
    app: Option<&ExposedApp>,
    peer: &PeerIdentity,
    header: &StreamHeader,
    node_addresses: impl FnOnce() -> Option<Vec<IpAddr>>,
) -> Result<AppSocket, Cause> {
    let app = app.ok_or(Cause::UnknownApp)?;
    if !app.allowed_sites.admits(&peer.name, &peer.site) {
        return Err(Cause::SiteNotAllowed);
    }
    match (&app.target, &header.port) {
        // Where there is one port, it is meant, by whatever name the other site calls it.
        (Target::Single(socket), _) => Ok(socket.clone()),
        (Target::Ports(ports), Some(port)) => named_port(ports, port),
        (Target::Range(range), None) => range_member(range, header.target.as_deref(), node_addresses),
        (Target::Range(_), Some(_)) | (Target::Ports(_), None) => Err(Cause::NoSuchPort),
    }
}

fn named_port(ports: &[(PortName, AppSocket)], wanted: &PortName) -> Result<AppSocket, Cause> {
    ports.iter().find(|(name, _)| name == wanted).map(|(_, socket)| socket.clone()).ok_or(Cause::NoSuchPort)
}

fn range_member(
    range: &TargetRange,
    target: Option<&str>,
    node_addresses: impl FnOnce() -> Option<Vec<IpAddr>>,
) -> Result<AppSocket, Cause> {
    let address = parse_target(target.ok_or(Cause::TargetMissing)?).ok_or(Cause::TargetMalformed)?;
    if !range.contains(address) {
        return Err(Cause::TargetOutside);
    }
    let is_own = |own: Vec<IpAddr>| own.iter().any(|own| own.to_canonical() == address.ip());
    let special = is_special(address.ip()) || node_addresses().is_none_or(is_own);
    if special && !range.names_exactly(address.ip()) {
        return Err(Cause::TargetDenied);
    }
    Ok(AppSocket::Tcp(address))
}

/// Reads `IP:PORT` or `tcp:IP:PORT` in one form only: no names, zones, leading zeros or signs; IPv4-mapped folded.
fn parse_target(text: &str) -> Option<SocketAddr> {
    let text = text.strip_prefix("tcp:").unwrap_or(text);
    let (_, port) = text.rsplit_once(':')?;
    let address: SocketAddr = text.parse().ok()?;
    let plain = match address {
        SocketAddr::V4(_) => true,
        SocketAddr::V6(v6) => v6.scope_id() == 0 && !text.contains('%'),
    };
    let canonical_port = port == address.port().to_string();
    (plain && canonical_port).then(|| SocketAddr::new(address.ip().to_canonical(), address.port()))
}

/// Tells the addresses that a range reaches only when it names them one by one.
fn is_special(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.is_loopback() || v4.octets()[0] == 0 || v4.is_link_local() || v4.is_multicast() || v4.is_broadcast()
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_unicast_link_local()
                || v6.is_multicast()
                || v6 == METADATA_IPV6
        }
    }
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
