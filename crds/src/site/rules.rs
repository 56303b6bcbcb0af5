//! Rules between the fields of a Site and its name.

use kube::core::Rule;

/// The object's name: others are named after it.
pub(super) fn object_name() -> Rule {
    Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$')").message(
        "metadata.name must be 1 to 40 characters a-z, 0-9 and -, starting with a letter: \
         Services and Secrets are named after it",
    )
}

/// The name in the mesh stays, whether it is written or taken from the object.
pub(super) fn site_name() -> Rule {
    Rule::new(
        "(has(self.spec.siteName) ? self.spec.siteName : self.metadata.name) \
         == (has(oldSelf.spec.siteName) ? oldSelf.spec.siteName : oldSelf.metadata.name)",
    )
    .message("siteName is immutable: other sites know this site by it; make a new Site instead")
}

/// Peers are other sites.
pub(super) fn peers() -> Rule {
    Rule::new(
        "!has(self.spec.peers) || !self.spec.peers.exists(p, \
         p.siteName == (has(self.spec.siteName) ? self.spec.siteName : self.metadata.name))",
    )
    .message("peers must not list this site itself: list other sites only")
}
