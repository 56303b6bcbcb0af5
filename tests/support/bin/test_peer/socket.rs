//! TCP and unix sockets by their names in wovenet's files, and how connections end.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// `tcp:address:port` or `unix:path`.
#[derive(Clone, Debug)]
pub enum SocketName {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl FromStr for SocketName {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        match text.split_once(':') {
            Some(("tcp", address)) => Ok(Self::Tcp(address.parse()?)),
            Some(("unix", path)) => Ok(Self::Unix(path.into())),
            _ => anyhow::bail!("{text} is neither tcp: nor unix:"),
        }
    }
}

/// A connection of either kind.
#[derive(Debug)]
pub enum Connection {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Connection {
    /// Connects, with `limit` on that and on every later read and write.
    pub fn open(to: &SocketName, limit: Duration) -> io::Result<Self> {
        let connection = match to {
            SocketName::Tcp(address) => Self::Tcp(TcpStream::connect_timeout(address, limit)?),
            SocketName::Unix(path) => Self::Unix(UnixStream::connect(path)?),
        };
        let limit = Some(limit);
        match &connection {
            Self::Tcp(stream) => stream.set_read_timeout(limit).and(stream.set_write_timeout(limit))?,
            Self::Unix(stream) => stream.set_read_timeout(limit).and(stream.set_write_timeout(limit))?,
        }
        Ok(connection)
    }

    pub fn finish_writing(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }

    /// Returns the client's address, when it has one.
    pub fn client(&self) -> String {
        match self {
            Self::Tcp(stream) => stream.peer_addr().map(|at| at.ip().to_canonical().to_string()).unwrap_or_default(),
            Self::Unix(_) => String::new(),
        }
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A listening socket of either kind.
pub enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    pub fn bind(at: &SocketName) -> io::Result<Self> {
        Ok(match at {
            SocketName::Tcp(address) => Self::Tcp(TcpListener::bind(address)?),
            SocketName::Unix(path) => Self::Unix(UnixListener::bind(path)?),
        })
    }

    pub fn accept(&self) -> io::Result<Connection> {
        match self {
            Self::Tcp(listener) => listener.accept().map(|(stream, _)| Connection::Tcp(stream)),
            Self::Unix(listener) => listener.accept().map(|(stream, _)| Connection::Unix(stream)),
        }
    }
}

/// Names an end: `fin` for a clean end of file where more was due.
pub fn outcome(error: &io::Error) -> String {
    use io::ErrorKind::{
        BrokenPipe, ConnectionRefused, ConnectionReset, InvalidData, TimedOut, UnexpectedEof, WouldBlock,
    };
    match error.kind() {
        UnexpectedEof => "fin".to_owned(),
        ConnectionReset => "reset".to_owned(),
        // A write after a clean end and a reset: the clean end came first.
        BrokenPipe => "fin".to_owned(),
        ConnectionRefused => "refused".to_owned(),
        WouldBlock | TimedOut => "timeout".to_owned(),
        InvalidData => "wrong".to_owned(),
        _ => error.to_string(),
    }
}
