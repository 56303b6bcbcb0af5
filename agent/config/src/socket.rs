//! The address of a local or app socket: `tcp:IP:PORT` or `unix:PATH`.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Where an app listens, or where a remote app is given a local socket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AppSocket {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A unix stream socket by path; a path that starts with `@` is an abstract name (unix(7)).
    Unix(PathBuf),
}

impl fmt::Display for AppSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp:{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
