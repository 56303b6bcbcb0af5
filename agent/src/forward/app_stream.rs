//! A connection with a client or an app, TCP or unix. Dropped before [`AppStream::end_cleanly`], it resets.

use std::ffi::OsString;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use futures_util::FutureExt;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{Interest, Ready};
use tokio::net::{TcpStream, UnixStream};
use wovenet_config::socket::AppSocket;

use crate::forward::unix_socket;

/// Silence before the first keep-alive probe. With the two values below a vanished host frees its stream in 90 s.
const KEEP_ALIVE_IDLE: Duration = Duration::from_secs(60);
/// Time between keep-alive probes.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// Unanswered probes that end a connection.
const KEEP_ALIVE_PROBES: u32 = 3;
/// How often a half-closed unix connection is asked whether its other end is gone: no event tells that alone.
const UNIX_CLOSED_POLL: Duration = Duration::from_secs(5);
/// The pause before a unix socket with a full backlog is tried again.
const UNIX_BACKLOG_RETRY: Duration = Duration::from_millis(20);

/// How long a client that ended its side before it sent anything may still wait for its stream: it may want an answer.
const HALF_CLOSED_GRACE: Duration = Duration::from_secs(2);

/// A connection that this runtime drives.
#[derive(Debug)]
pub(super) enum AppStream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A connection between two runtimes.
#[derive(Debug)]
pub(super) enum DetachedStream {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

impl DetachedStream {
    /// Returns the IP address of the other end; a unix socket has none.
    pub(super) fn client(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok().map(|address| address.ip().to_canonical()),
            Self::Unix(_) => None,
        }
    }
}

/// What a client that waits for its stream has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    Silent,
    HasSent,
    Ended,
    Gone,
}

impl AppStream {
    /// Dials an app. The caller bounds the wait.
    pub(super) async fn dial(target: &AppSocket) -> io::Result<Self> {
        match target {
            AppSocket::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                set_options(&SockRef::from(&stream))?;
                Ok(Self::Tcp(stream))
            }
            AppSocket::Unix(path) => dial_unix(path).await.map(Self::Unix),
        }
    }

    pub(super) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.readable().await,
            Self::Unix(stream) => stream.readable().await,
        }
    }

    pub(super) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.writable().await,
            Self::Unix(stream) => stream.writable().await,
        }
    }

    pub(super) fn try_read_buf(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_read_buf(buffer),
            Self::Unix(stream) => stream.try_read_buf(buffer),
        }
    }

    /// Reads what is there now, without asking the runtime, which learns of a new connection only in its next turn.
    pub(super) fn read_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        io::Read::read(&mut &*self.socket(), buffer)
    }

    pub(super) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write_vectored(slices),
            Self::Unix(stream) => stream.try_write_vectored(slices),
        }
    }

    /// Writes all of a short text, such as a PROXY header.
    pub(super) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.writable().await?;
            match self.try_write_vectored(&[IoSlice::new(bytes)]) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Says that nothing more comes.
    pub(super) fn shutdown_write(&self) -> io::Result<()> {
        self.socket().shutdown(Shutdown::Write)
    }

    /// Ends a connection of which both directions are over; nothing is reset.
    pub(super) fn end_cleanly(self) {
        if matches!(self, Self::Tcp(_)) {
            // Fails only on a socket that is already reset, where it no longer matters.
            self.socket().set_linger(None).ok();
        }
    }

    /// Resolves when the connection was reset, whatever still waits to be read. A unix connection has no reset: there
    /// it resolves when, once `read_ended`, nobody is left who could read what is written.
    pub(super) async fn broken(&self, read_ended: &AtomicBool) {
        match self {
            Self::Tcp(stream) => {
                stream.ready(Interest::ERROR).await.ok();
            }
            Self::Unix(stream) => Box::pin(unix_broken(stream, read_ended)).await,
        }
    }

    /// Resolves when a client that waits for its stream has gone: reset, or closed without having sent anything. As a
    /// client that only half-closed looks the same over TCP, it gets [`HALF_CLOSED_GRACE`].
    pub(super) async fn abandoned(&self) {
        loop {
            if self.readable().await.is_err() {
                return;
            }
            match self.peek() {
                Waiting::Gone => return,
                Waiting::Ended => {
                    let read_ended = AtomicBool::new(true);
                    tokio::time::timeout(HALF_CLOSED_GRACE, self.broken(&read_ended)).await.ok();
                    return;
                }
                Waiting::HasSent => return self.broken(&AtomicBool::new(false)).await,
                Waiting::Silent => {}
            }
        }
    }

    fn peek(&self) -> Waiting {
        let mut byte = [MaybeUninit::uninit(); 1];
        let look = || self.socket().peek(&mut byte);
        let looked = match self {
            Self::Tcp(stream) => stream.try_io(Interest::READABLE, look),
            Self::Unix(stream) => stream.try_io(Interest::READABLE, look),
        };
        match looked {
            Ok(0) => Waiting::Ended,
            Ok(_) => Waiting::HasSent,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Waiting::Silent,
            Err(_) => Waiting::Gone,
        }
    }

    /// Returns the other end's TCP address, IPv4-mapped IPv6 folded.
    pub(super) fn remote_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => {
                stream.peer_addr().ok().map(|address| SocketAddr::new(address.ip().to_canonical(), address.port()))
            }
            Self::Unix(_) => None,
        }
    }

    /// Leaves this runtime.
    pub(super) fn detach(self) -> io::Result<DetachedStream> {
        Ok(match self {
            Self::Tcp(stream) => DetachedStream::Tcp(stream.into_std()?),
            Self::Unix(stream) => DetachedStream::Unix(stream.into_std()?),
        })
    }

    fn socket(&self) -> SockRef<'_> {
        match self {
            Self::Tcp(stream) => SockRef::from(stream),
            Self::Unix(stream) => SockRef::from(stream),
        }
    }
}

impl DetachedStream {
    /// Joins the runtime that this is called on.
    pub(super) fn attach(self) -> io::Result<AppStream> {
        Ok(match self {
            Self::Tcp(stream) => AppStream::Tcp(TcpStream::from_std(stream)?),
            Self::Unix(stream) => AppStream::Unix(UnixStream::from_std(stream)?),
        })
    }
}

/// Sets what every TCP connection has: no delay, keep-alive, and a reset on every end but a clean one, even when the
/// process is killed. Connections that a listener accepts inherit its options (tcp(7)).
pub(super) fn set_options(socket: &SockRef<'_>) -> io::Result<()> {
    let keep_alive = TcpKeepalive::new()
        .with_time(KEEP_ALIVE_IDLE)
        .with_interval(KEEP_ALIVE_INTERVAL)
        .with_retries(KEEP_ALIVE_PROBES);
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&keep_alive)?;
    socket.set_linger(Some(Duration::ZERO))
}

async fn unix_broken(stream: &UnixStream, read_ended: &AtomicBool) {
    loop {
        tokio::select! {
            ready = stream.ready(Interest::ERROR) => { ready.ok(); return }
            () = tokio::time::sleep(UNIX_CLOSED_POLL) => {
                let ready = stream.ready(Interest::WRITABLE).now_or_never();
                if read_ended.load(Ordering::Relaxed) && ready.is_some_and(|ready| ready.is_ok_and(Ready::is_write_closed)) {
                    return;
                }
            }
        }
    }
}

async fn dial_unix(path: &Path) -> io::Result<UnixStream> {
    let path = match unix_socket::abstract_name(path) {
        Some(name) => PathBuf::from(OsString::from_vec([b"\0", name].concat())),
        None => path.to_owned(),
    };
    loop {
        match UnixStream::connect(&path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => tokio::time::sleep(UNIX_BACKLOG_RETRY).await,
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::local_socket::LocalSocket;

    #[tokio::test]
    async fn a_tcp_connection_is_probed_when_silent_and_reset_unless_it_ends_cleanly() {
        let any = AppSocket::Tcp("127.0.0.1:0".parse().unwrap());
        let listener = LocalSocket::bind(&any).unwrap();
        let dialled = AppStream::dial(&listener.bound(&any)).await.unwrap();
        let accepted = listener.accept().await.unwrap().attach().unwrap();
        for stream in [dialled, accepted] {
            let socket = stream.socket();
            assert!(socket.keepalive().unwrap() && socket.tcp_nodelay().unwrap());
            assert_eq!(socket.linger().unwrap(), Some(Duration::ZERO));
            let probing = socket.tcp_keepalive_interval().unwrap() * socket.tcp_keepalive_retries().unwrap();
            assert!(socket.tcp_keepalive_time().unwrap() + probing <= Duration::from_secs(120));
        }
    }
}
