//! Tunnel sockets and settings.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use url::Url;

/// Live data channels that an agent keeps to each peer site.
pub const CHANNELS_PER_SITE_DEFAULT: u8 = 2;
/// The most data channels that an agent keeps to each peer site.
pub const CHANNELS_PER_SITE_MAX: u8 = 16;
/// The UDP port of a static peer's address that names none.
pub const TUNNEL_PORT: u16 = 51_820;
/// The port of a STUN server that names none (RFC 8489 §8).
pub const STUN_PORT: u16 = 3_478;
/// The most STUN servers of one tunnel socket.
pub const STUN_SERVERS_MAX: usize = 8;
/// The most threads that drive tunnels.
pub const WORKERS_MAX: u8 = 64;
/// The most tunnel sockets of one agent.
pub const LOCAL_SOCKETS_MAX: usize = 16;

/// The most nodes of which a tunnel socket names the address.
pub const NODE_ADDRESSES_MAX: usize = 5_000;

/// How this site's tunnels are built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// Sockets that other sites can dial; none means that this site only dials.
    pub local_sockets: Vec<LocalSocket>,
    /// Channels kept to each peer site, 1 to [`CHANNELS_PER_SITE_MAX`].
    pub channels_per_site: u8,
    /// The congestion controller.
    pub congestion_control: CongestionControl,
    /// Threads that drive tunnels; `None` is one for each core, at most 8.
    pub workers: Option<u8>,
}

/// The congestion controller of data channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CongestionControl {
    /// Delivery rate × minimum round trip time; tolerates loss up to a ceiling.
    #[default]
    Model,
    /// CUBIC (RFC 9438).
    Cubic,
    /// BBR version 1.
    Bbr,
}

/// One socket that other sites dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalSocket {
    /// Where the agent binds. An unspecified IPv4 address also takes IPv6, as in Go.
    pub listen: SocketAddr,
    /// What other sites are told to dial.
    pub public: PublicAddress,
    /// The port that other sites are told to dial.
    pub public_port: u16,
    /// Whose address it is.
    pub scope: Scope,
}

/// How the public address of a tunnel socket is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicAddress {
    /// Configured.
    Fixed(IpAddr),
    /// The address the socket is bound to; every address of the host when bound to a wildcard.
    Listen,
    /// Asked from a web page that answers with the caller's address (`autoHttpDetect`).
    Http(Url),
    /// Asked from STUN servers (`autoStunDetect`, RFC 8489), each `host:port`.
    Stun(Vec<String>),
    /// That of the node that the agent runs on; an agent of another node announces none.
    OfNode(BTreeMap<String, IpAddr>),
}

/// Who answers at an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Always this agent.
    #[default]
    Agent,
    /// Any agent of the site, as behind a load balancer.
    Site,
}
