//! Listening sockets of the API and of the health port.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

use super::error::ApiError;

/// Connections that the system holds until they are accepted.
const BACKLOG: i32 = 512;

/// Listens on `address`, without blocking. `[::]` means both families, and every IPv4 address on a host without IPv6.
///
/// # Errors
/// [`ApiError::Listen`] names the address.
pub(super) fn listen(address: SocketAddr) -> Result<TcpListener, ApiError> {
    let any = address.is_ipv6() && address.ip().is_unspecified();
    let bound = match bind(address) {
        Err(error) if any && is_family_missing(&error) => bind((Ipv4Addr::UNSPECIFIED, address.port()).into()),
        other => other,
    };
    bound.map_err(|source| ApiError::Listen { address, source })
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn is_family_missing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_taken_is_named_in_the_error() {
        let taken = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = taken.local_addr().unwrap();
        let error = listen(address).unwrap_err();
        assert!(error.to_string().starts_with(&format!("cannot listen on {address}: ")), "{error}");
    }

    #[test]
    fn no_address_is_every_address_of_both_families() {
        let any = listen("[::]:0".parse().unwrap()).unwrap();
        let port = any.local_addr().unwrap().port();
        std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    }
}
