//! The address of a local or app socket: `tcp:IP:PORT` or `unix:PATH`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

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

/// The longest path of a unix socket, in bytes (`sun_path` of unix(7) without the final NUL).
pub const UNIX_PATH_MAX_BYTES: usize = 107;

/// Why a text is no socket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppSocketError {
    /// No colon.
    #[error("has no scheme; the valid forms are tcp:IP:PORT and unix:PATH")]
    Form,
    /// `udp:`, which is planned.
    #[error("uses udp: UDP apps are not yet available; use tcp:IP:PORT or unix:PATH")]
    Udp,
    /// Another scheme.
    #[error("has the unsupported scheme {0}; {1}")]
    Scheme(String, String),
    /// `tcp://` and the like.
    #[error("must not have // after the scheme; write tcp:IP:PORT, such as tcp:127.0.0.1:8080")]
    Slashes,
    /// `tcp:` without address and port.
    #[error("is no IP:PORT after tcp:; write it like tcp:127.0.0.1:8080 or tcp:[::1]:8080")]
    Tcp,
    /// A host name, a zone, or no address.
    #[error("has the invalid IP address {0}; host names and zones are not supported, IPv6 goes in brackets")]
    Address(String),
    /// Not 0 to 65535.
    #[error("has the invalid port {0}; a port is a number from 0 to 65535")]
    Port(String),
    /// `unix:` without a path.
    #[error("has no path after unix:; write it like unix:/run/app.sock")]
    UnixEmpty,
    /// A NUL in the path.
    #[error("has a NUL character in its path")]
    UnixNul,
    /// More than [`UNIX_PATH_MAX_BYTES`] bytes.
    #[error("has a path of {0} bytes, at most {UNIX_PATH_MAX_BYTES} are possible")]
    UnixTooLong(usize),
}

impl FromStr for AppSocket {
    type Err = AppSocketError;
    fn from_str(text: &str) -> Result<Self, AppSocketError> {
        let (scheme, rest) = text.split_once(':').ok_or(AppSocketError::Form)?;
        match scheme.to_ascii_lowercase().as_str() {
            "tcp" => tcp(rest).map(Self::Tcp),
            "unix" => unix(rest).map(Self::Unix),
            "udp" => Err(AppSocketError::Udp),
            _ => Err(AppSocketError::Scheme(
                crate::problem::shown(scheme),
                crate::nearest::advice(scheme, &["tcp", "unix"]),
            )),
        }
    }
}

fn tcp(text: &str) -> Result<SocketAddr, AppSocketError> {
    if text.starts_with("//") {
        return Err(AppSocketError::Slashes);
    }
    let (address, port) = text.rsplit_once(':').ok_or(AppSocketError::Tcp)?;
    let invalid = || AppSocketError::Address(crate::problem::shown(address));
    let address: IpAddr = match address.strip_prefix('[') {
        Some(inner) => {
            let inner = inner.strip_suffix(']').ok_or_else(invalid)?;
            inner.parse::<Ipv6Addr>().map_err(|_| invalid())?.into()
        }
        None => address.parse::<Ipv4Addr>().map_err(|_| invalid())?.into(),
    };
    // `+80` is read as 80, as in wovenet.
    let port = port.parse().map_err(|_| AppSocketError::Port(crate::problem::shown(port)))?;
    Ok(SocketAddr::new(address, port))
}

fn unix(path: &str) -> Result<PathBuf, AppSocketError> {
    match path {
        "" => Err(AppSocketError::UnixEmpty),
        _ if path.contains('\0') => Err(AppSocketError::UnixNul),
        _ if path.len() > UNIX_PATH_MAX_BYTES => Err(AppSocketError::UnixTooLong(path.len())),
        _ => Ok(PathBuf::from(path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tcp_sockets_are_an_address_and_a_port_with_the_scheme_in_any_case() {
        for (text, shown) in [
            ("tcp:127.0.0.1:80", "tcp:127.0.0.1:80"),
            ("TCP:0.0.0.0:22", "tcp:0.0.0.0:22"),
            ("tcp:[::1]:443", "tcp:[::1]:443"),
            ("tcp:10.0.0.1:+80", "tcp:10.0.0.1:80"),
            ("tcp:10.0.0.1:0", "tcp:10.0.0.1:0"),
        ] {
            assert_eq!(text.parse::<AppSocket>().map(|socket| socket.to_string()), Ok(shown.to_owned()));
        }
    }

    #[test]
    fn unix_sockets_are_any_path_or_abstract_name() {
        for path in ["/run/app.sock", "relative.sock", "@abstract", "///a", "/with:colon"] {
            assert_eq!(format!("unix:{path}").parse(), Ok(AppSocket::Unix(path.into())));
        }
        assert_eq!("unix:".parse::<AppSocket>(), Err(AppSocketError::UnixEmpty));
        assert_eq!("unix:a\0b".parse::<AppSocket>(), Err(AppSocketError::UnixNul));
        assert_eq!(format!("unix:/{}", "a".repeat(107)).parse::<AppSocket>(), Err(AppSocketError::UnixTooLong(108)));
    }

    #[test]
    fn what_wovenet_refuses_is_refused_with_the_right_form() {
        for (text, part) in [
            ("127.0.0.1", "the valid forms are tcp:IP:PORT and unix:PATH"),
            ("127.0.0.1:80", "unsupported scheme \"127.0.0.1\""),
            ("udp:127.0.0.1:53", "UDP apps are not yet available"),
            ("tcp4:127.0.0.1:80", "did you mean tcp?"),
            (" tcp:127.0.0.1:80", "did you mean tcp?"),
            ("tcp://127.0.0.1:80", "must not have //"),
            ("tcp:80", "IP:PORT"),
            ("tcp::80", "invalid IP address \"\""),
            ("tcp:localhost:80", "invalid IP address \"localhost\""),
            ("tcp:::1:80", "invalid IP address"),
            ("tcp:[fe80::1%eth0]:80", "zones are not supported"),
            ("tcp:[127.0.0.1]:80", "invalid IP address"),
            ("tcp:127.0.0.1:65536", "invalid port \"65536\""),
            ("tcp:127.0.0.1:-1", "invalid port"),
            ("tcp:127.0.0.1:", "invalid port \"\""),
        ] {
            let message = text.parse::<AppSocket>().expect_err(text).to_string();
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    proptest! {
        #[test]
        fn a_displayed_socket_reads_back(address: std::net::IpAddr, port: u16) {
            let socket = AppSocket::Tcp(SocketAddr::new(address, port));
            prop_assert_eq!(socket.to_string().parse(), Ok(socket));
        }

        #[test]
        fn no_text_panics(text in "(tcp|unix|udp):\\PC{0,30}|\\PC{0,30}") {
            let _ = text.parse::<AppSocket>();
        }
    }
}
