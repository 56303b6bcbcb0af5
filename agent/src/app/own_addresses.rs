//! Keeps what this agent states about its addresses in line with its tunnel sockets and the host's network.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::watch;
use wovenet_config::tunnel::{LocalSocket, PublicAddress, Tunnel};

use crate::discovery::addresses::Addresses;
use crate::discovery::network;
use crate::forward::NodeAddresses;
use crate::peer::{EndpointAddress, OwnStatement};
use crate::tunnel::{SocketState, SocketStates, TunnelHandle};

/// The least time between two looks that late or lost channels cause: the pages asked belong to others.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Time until the addresses of this host are listed again when that failed.
const LIST_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Follows sockets and network until the agent ends; only sockets that listen are stated.
pub(super) async fn follow(
    mut tunnel: watch::Receiver<Tunnel>,
    mut sockets: watch::Receiver<SocketStates>,
    network: watch::Receiver<u64>,
    own: watch::Sender<OwnStatement>,
    host: String,
) {
    loop {
        let configured = tunnel.borrow_and_update().local_sockets.clone();
        let (listening, bound) = listening(&of_host(configured, &host), &sockets.borrow_and_update());
        let nothing_listens = listening.is_empty();
        let addresses = Addresses::start(listening, bound, network.clone());
        let mut found = addresses.subscribe();
        loop {
            let endpoints = found.borrow_and_update().clone();
            // Until the first look-up, and while every one fails, what was stated before stands.
            if nothing_listens || !endpoints.is_empty() {
                state(&own, endpoints);
            }
            tokio::select! {
                changed = tunnel.changed() => if changed.is_err() { return } else { break },
                changed = sockets.changed() => if changed.is_err() { return } else { break },
                changed = found.changed() => if changed.is_err() { break },
            }
        }
        addresses.shutdown().await;
    }
}

/// Moves when this agent may have got other addresses: the host's network changed, or a channel answers late or is
/// lost, which is all that a host sees of its router getting another address.
pub(super) fn worth_a_look(mut network: watch::Receiver<u64>, tunnels: TunnelHandle) -> watch::Receiver<u64> {
    let (looks, seen) = watch::channel(0u64);
    tokio::spawn(async move {
        let look = || looks.send_modify(|looks| *looks += 1);
        let network_changes = async {
            while network.changed().await.is_ok() {
                look()
            }
        };
        let lost_channels = async {
            let (mut channels, mut good) = (tunnels.subscribe(), tunnels.good_channels());
            while channels.changed().await.is_ok() {
                let before = std::mem::replace(&mut good, tunnels.good_channels());
                if good < before {
                    look();
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
        };
        tokio::join!(network_changes, lost_channels);
    });
    seen
}

/// Replaces the addresses of nodes by that of this one; a socket of which it is not known is not announced.
fn of_host(sockets: Vec<LocalSocket>, host: &str) -> Vec<LocalSocket> {
    let resolve = |socket: LocalSocket| match &socket.public {
        PublicAddress::OfNode(addresses) => {
            let public = PublicAddress::Fixed(*addresses.get(host)?);
            Some(LocalSocket { public, ..socket })
        }
        _ => Some(socket),
    };
    sockets.into_iter().filter_map(resolve).collect()
}

fn listening(configured: &[LocalSocket], states: &SocketStates) -> (Vec<LocalSocket>, BTreeMap<usize, u16>) {
    let bound_port = |socket: &LocalSocket| match states.get(&socket.listen) {
        Some(SocketState::Listening(address)) => Some(address.port()),
        Some(SocketState::Failed(_)) | None => None,
    };
    let listening: Vec<_> =
        configured.iter().filter_map(|socket| Some((socket.clone(), bound_port(socket)?))).collect();
    let ports = listening.iter().enumerate().map(|(index, (_, port))| (index, *port)).collect();
    (listening.into_iter().map(|(socket, _)| socket).collect(), ports)
}

fn state(own: &watch::Sender<OwnStatement>, endpoints: Vec<EndpointAddress>) {
    own.send_if_modified(|own| {
        let differs = own.base().endpoints != endpoints;
        if differs {
            tracing::info!(?endpoints, "this agent's addresses changed");
            *own = own.with_endpoints(endpoints);
        }
        differs
    });
}

/// Keeps the node's own addresses, which range apps must not reach, and returns what tells them once they are known.
pub(super) fn node_addresses(mut network: watch::Receiver<u64>) -> NodeAddresses {
    let known: Arc<ArcSwapOption<Vec<IpAddr>>> = Arc::default();
    let kept = known.clone();
    tokio::spawn(async move {
        loop {
            match network::own_addresses().await {
                Ok(addresses) => kept.store(Some(Arc::new(addresses))),
                Err(error) => {
                    tracing::warn!(%error, "cannot list the addresses of this host; without a list, members of ranges are refused");
                    tokio::time::sleep(LIST_AGAIN_AFTER).await;
                    continue;
                }
            }
            if network.changed().await.is_err() {
                return;
            }
        }
    });
    Arc::new(move || known.load().as_deref().cloned())
}

#[cfg(test)]
mod tests {
    use wovenet_config::tunnel::Scope;

    use super::*;

    #[test]
    fn of_the_addresses_of_nodes_an_agent_announces_its_own() {
        let addresses = [("one", "192.0.2.1"), ("two", "192.0.2.2")];
        let addresses = addresses.map(|(node, address)| (node.to_owned(), address.parse().unwrap()));
        let public = PublicAddress::OfNode(addresses.into());
        let socket =
            LocalSocket { listen: "0.0.0.0:51820".parse().unwrap(), public, public_port: 30_820, scope: Scope::Agent };
        let of_two = of_host(vec![socket.clone()], "two");
        assert_eq!(of_two[0].public, PublicAddress::Fixed("192.0.2.2".parse().unwrap()));
        assert!(of_host(vec![socket], "three").is_empty());
    }
}
