//! Sites that are trusted by key.

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
