//! Judges that no two parts of the agent listen on one socket.

use std::net::SocketAddr;

use crate::api::{Api, Health};
use crate::document::Document;
use crate::problem::shown;
use crate::socket::AppSocket;

use super::report::Report;

struct Listener {
    socket: AppSocket,
    path: String,
    name: String,
}

/// Compares the sockets of remote apps, of the API and of health; both users of a socket are named.
pub(super) fn check(document: &Document, api: Option<&Api>, health: Option<Health>, report: &mut Report) {
    let own = [
        api.map(|api| listener(AppSocket::Tcp(api.listen), "restfulApi.listenAddr", "restfulApi")),
        health.map(|health| listener(AppSocket::Tcp(health.listen), "health.listenAddr", "health")),
    ];
    let remote = document.remote_apps.iter().enumerate().filter_map(|(index, app)| {
        let socket = app.local_socket.as_deref()?.parse().ok()?;
        let name = app.app_name.as_ref().or_else(|| app.providers.first()?.app_name.as_ref());
        let name = format!("remoteApps[{index}] ({})", shown(name.map_or("", String::as_str)));
        Some(listener(socket, &format!("remoteApps[{index}].localSocket"), &name))
    });
    // Sorted by port or path, so that each socket is compared with its few neighbours only.
    let mut seen: std::collections::BTreeMap<Place, Vec<Listener>> = std::collections::BTreeMap::new();
    for listener in own.into_iter().flatten().chain(remote) {
        let Some(place) = Place::of(&listener.socket) else { continue };
        let others = seen.entry(place).or_default();
        if let Some(other) = others.iter().find(|other| clash(&other.socket, &listener.socket)) {
            let message = format!("{} of {} is already used by {}", listener.socket, listener.name, other.name);
            report.error(&listener.path, message);
        }
        others.push(listener);
    }
}

fn listener(socket: AppSocket, path: &str, name: &str) -> Listener {
    Listener { socket, path: path.to_owned(), name: name.to_owned() }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Port(u16),
    Path(std::path::PathBuf),
}

impl Place {
    /// Returns `None` for a random port, which never clashes.
    fn of(socket: &AppSocket) -> Option<Self> {
        match socket {
            AppSocket::Tcp(address) if address.port() == 0 => None,
            AppSocket::Tcp(address) => Some(Self::Port(address.port())),
            AppSocket::Unix(path) => Some(Self::Path(path.clone())),
        }
    }
}

fn clash(one: &AppSocket, other: &AppSocket) -> bool {
    match (one, other) {
        (AppSocket::Tcp(one), AppSocket::Tcp(other)) => same_address(*one, *other),
        (one, other) => one == other,
    }
}

/// Of one port: the same address, or a wildcard of the same family.
fn same_address(one: SocketAddr, other: SocketAddr) -> bool {
    let wildcard = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.ip() == other.ip() || (wildcard && one.is_ipv4() == other.is_ipv4())
}
