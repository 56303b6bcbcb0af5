//! Paths of unix sockets on the nodes. Abstract sockets have no directory that a Site could permit, so none are served.

/// An absolute path in plain characters.
pub(crate) const RULE: &str = "self.matches('^(/[A-Za-z0-9_@+=.-]+)+$') && !self.matches('/[.][.]?(/|$)')";
/// What a path must be.
pub(crate) const MESSAGE: &str = "unixSocket must be an absolute path such as /run/app/app.sock, without . and ..";
