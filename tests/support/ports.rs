//! Ports that nobody uses.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

/// Returns a TCP port that was free a moment ago.
///
/// # Errors
/// The system's error when it has none.
pub fn free_tcp_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Returns a UDP port that was free a moment ago.
///
/// # Errors
/// The system's error when it has none.
pub fn free_udp_port() -> std::io::Result<u16> {
    Ok(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
