//! Who a site is: the mesh key that makes it a member, the site key that makes it itself, and what it states.

pub mod directory;
pub mod generation;
pub mod mesh_key;
pub mod own_statement;
pub mod peers;
pub mod seal;
pub mod store;
pub mod usable;

#[cfg(test)]
pub(crate) mod testing;

use wovenet_config::key::SiteId;
use wovenet_config::name::SiteName;

pub use directory::{Directory, KnownAgent, KnownSite, Learning, Now, Refusal, Source};
pub use mesh_key::{KeyId, MeshKey, MeshKeyError, MeshKeyRing};
pub use own_statement::OwnStatement;
pub use peers::Peers;
pub use statement::{EndpointAddress, Learned, SignedStatement, Statement, StatementError, Transport};
pub use store::{Location, Store, StoreError};
pub use wovenet_identity::{AgentId, SavedPeers, SiteKey, SiteKeyError, site_key, statement};

/// An authenticated agent of another site.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerIdentity {
    /// The site, by its key.
    pub site: SiteId,
    /// The site's name, bound to that key.
    pub name: SiteName,
    /// The agent.
    pub agent: AgentId,
}
