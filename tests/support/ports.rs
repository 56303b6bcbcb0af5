//! Ports that nobody uses.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// The first port that is handed out.
const FIRST: u16 = 10_000;
/// How many are handed out: all lie below those that Linux takes for outgoing connections, which come and go.
const COUNT: u16 = 20_000;
/// Where this process began, at random, so that test programs side by side seldom try the same ports.
static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| {
    let random = RandomState::new().hash_one(std::process::id()) % u64::from(COUNT);
    AtomicU16::new(u16::try_from(random).unwrap_or(0))
});

/// Returns a TCP port that was free a moment ago and is handed out once.
///
/// # Errors
/// The system's error when it has none.
pub fn free_tcp_port() -> io::Result<u16> {
    free_port(|port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).map(drop))
}

/// Returns a UDP port that was free a moment ago and is handed out once.
///
/// # Errors
/// The system's error when it has none.
pub fn free_udp_port() -> io::Result<u16> {
    free_port(|port| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).map(drop))
}

fn free_port(bind: impl Fn(u16) -> io::Result<()>) -> io::Result<u16> {
    let mut last = io::ErrorKind::AddrInUse.into();
    for _ in 0..COUNT {
        let port = FIRST + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        match bind(port) {
            Ok(()) => return Ok(port),
            Err(error) => last = error,
        }
    }
    Err(last)
}
