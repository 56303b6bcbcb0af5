//! The local socket of a remote app, bound.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::TcpListener;
use wovenet_config::socket::AppSocket;

use crate::forward::app_stream::{DetachedStream, set_options};
use crate::forward::unix_socket::{UnixSocket, UnixSocketError};

/// Clients that the system holds before they are accepted.
const BACKLOG: i32 = 1_024;

/// Why a local socket could not be bound.
#[derive(Debug, thiserror::Error)]
pub(super) enum BindError {
    #[error("cannot bind: {0}")]
    Tcp(#[from] io::Error),
    #[error(transparent)]
    Unix(#[from] UnixSocketError),
}

/// A bound local socket.
#[derive(Debug)]
pub(super) enum LocalSocket {
    Tcp(TcpListener),
    Unix(UnixSocket),
}

impl LocalSocket {
    pub(super) fn bind(socket: &AppSocket) -> Result<Self, BindError> {
        Ok(match socket {
            AppSocket::Tcp(address) => Self::Tcp(bind_tcp(*address)?),
            AppSocket::Unix(path) => Self::Unix(UnixSocket::bind(path)?),
        })
    }

    /// Returns the socket as bound: with the port that the system chose for port 0.
    pub(super) fn bound(&self, configured: &AppSocket) -> AppSocket {
        match (self, configured) {
            (Self::Tcp(listener), AppSocket::Tcp(address)) => {
                let port = listener.local_addr().map_or(address.port(), |bound| bound.port());
                AppSocket::Tcp(SocketAddr::new(address.ip(), port))
            }
            _ => configured.clone(),
        }
    }

    /// Accepts a client. It belongs to no runtime yet, as only its stream tells which one is best.
    pub(super) async fn accept(&self) -> io::Result<DetachedStream> {
        match self {
            Self::Tcp(listener) => Ok(DetachedStream::Tcp(listener.accept().await?.0.into_std()?)),
            Self::Unix(socket) => Ok(DetachedStream::Unix(socket.listener.accept().await?.0.into_std()?)),
        }
    }
}

/// Binds an address; a wildcard takes clients of both IP versions where the system has both, as wovenet does.
fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    if address.ip() == IpAddr::from([0, 0, 0, 0]) {
        match listen((Ipv6Addr::UNSPECIFIED, address.port()).into()) {
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => {}
            result => return result,
        }
    }
    listen(address)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    set_options(&SockRef::from(&socket))?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
