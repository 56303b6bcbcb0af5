//! Who a site is: the mesh key that makes it a member, the site key that makes it itself, and what it states.

pub mod mesh_key;
pub mod seal;
pub mod site_key;
pub mod statement;

#[cfg(test)]
pub(crate) mod testing;

use wovenet_config::key::SiteId;
use wovenet_config::name::SiteName;

pub use mesh_key::{KeyId, MeshKey, MeshKeyError, MeshKeyRing};
pub use site_key::{AgentId, SiteKey, SiteKeyError};
pub use statement::{EndpointAddress, Learned, SignedStatement, Statement, StatementError, Transport};

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
