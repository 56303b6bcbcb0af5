//! The actor that knows where this agent can be dialled: configured, of the host's interfaces, or asked from others.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use wovenet_config::tunnel::{LocalSocket, PublicAddress};

use super::detect::{http, stun};
use super::network::reachable_addresses;
use crate::backoff::{Backoff, BackoffLimits};
use crate::peer::statement::{ENDPOINTS_MAX, EndpointAddress, Learned, Transport};
use crate::peer::usable::{is_unicast, usable};

/// How often detected and interface addresses are looked up again.
pub const LOOKUP_INTERVAL: Duration = Duration::from_secs(60);
/// Knows the endpoints of this agent until dropped.
#[derive(Debug)]
pub struct Addresses {
    endpoints: watch::Receiver<Vec<EndpointAddress>>,
    tasks: JoinSet<()>,
    cancel: CancellationToken,
}

impl Addresses {
    /// Starts to look the addresses of `sockets` up. `bound` tells the port that a socket really got, by its place in
    /// `sockets`, where the configuration says 0.
    pub fn start(sockets: Vec<LocalSocket>, bound: BTreeMap<usize, u16>, network: watch::Receiver<u64>) -> Self {
        let (sender, endpoints) = watch::channel(Vec::new());
        let (cancel, mut tasks) = (CancellationToken::new(), JoinSet::new());
        let last_good = vec![Vec::new(); sockets.len()];
        let backoff = Backoff::new(BackoffLimits::BROKER);
        let actor = Actor { sockets, bound, network, endpoints: sender, last_good, backoff, cancel: cancel.clone() };
        tasks.spawn(actor.run());
        Self { endpoints, tasks, cancel }
    }

    /// Returns the endpoints as they change; empty until the first lookup and for an agent that only dials.
    pub fn subscribe(&self) -> watch::Receiver<Vec<EndpointAddress>> {
        self.endpoints.clone()
    }

    /// Stops.
    pub async fn shutdown(mut self) {
        self.cancel.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "looking addresses up failed");
            }
        }
    }
}

struct Actor {
    sockets: Vec<LocalSocket>,
    bound: BTreeMap<usize, u16>,
    network: watch::Receiver<u64>,
    endpoints: watch::Sender<Vec<EndpointAddress>>,
    last_good: Vec<Vec<IpAddr>>,
    /// Counts lookups that left a socket without any address.
    backoff: Backoff,
    cancel: CancellationToken,
}

impl Actor {
    async fn run(mut self) {
        let cancel = self.cancel.clone();
        loop {
            let wait = tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                wait = self.look_up() => wait,
            };
            tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                Ok(()) = self.network.changed() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Looks every address up at once, publishes what changed, and returns when to look again.
    async fn look_up(&mut self) -> Duration {
        let found = futures_util::future::join_all(self.sockets.iter().map(look_up_one)).await;
        for (last, found) in self.last_good.iter_mut().zip(found) {
            if let Some(found) = found {
                *last = found;
            }
        }
        let endpoints = self.describe();
        self.endpoints.send_if_modified(|current| {
            let changed = *current != endpoints;
            if changed {
                tracing::info!(endpoints = ?addresses_of(&endpoints), "this agent can be dialled at other addresses");
                *current = endpoints;
            }
            changed
        });
        if self.last_good.iter().all(|addresses| !addresses.is_empty()) {
            self.backoff.reset();
            return LOOKUP_INTERVAL;
        }
        self.backoff.failed(Instant::now())
    }

    fn describe(&self) -> Vec<EndpointAddress> {
        let sockets = self.sockets.iter().zip(&self.last_good).enumerate();
        let all = sockets.flat_map(|(place, (socket, addresses))| {
            let port = match socket.public_port {
                0 => self.bound.get(&place).copied().unwrap_or(socket.listen.port()),
                port => port,
            };
            addresses.iter().map(move |address| endpoint(socket, SocketAddr::new(*address, port), place))
        });
        let mut endpoints = usable(&all.collect::<Vec<_>>());
        endpoints.truncate(ENDPOINTS_MAX);
        endpoints
    }
}

fn endpoint(socket: &LocalSocket, at: SocketAddr, place: usize) -> EndpointAddress {
    let learned = match socket.public {
        PublicAddress::Fixed(_) | PublicAddress::OfNode(_) => Learned::Configured,
        PublicAddress::Listen => Learned::Interface,
        PublicAddress::Http(_) => Learned::Http,
        PublicAddress::Stun(_) => Learned::Stun,
    };
    EndpointAddress {
        transport: Transport::Quic,
        address: at.ip(),
        port: at.port(),
        scope: socket.scope,
        learned,
        priority: u16::try_from(place).unwrap_or(u16::MAX),
    }
}

/// Returns the addresses of a socket; `None` when they cannot be told now.
async fn look_up_one(socket: &LocalSocket) -> Option<Vec<IpAddr>> {
    let found = match &socket.public {
        PublicAddress::Fixed(address) => return Some(vec![*address]),
        PublicAddress::OfNode(_) => return Some(Vec::new()),
        PublicAddress::Listen if !socket.listen.ip().is_unspecified() => return Some(vec![socket.listen.ip()]),
        PublicAddress::Listen => {
            let listed = reachable_addresses().await.map(|all| of_wildcard(&all));
            listed.map_err(|error| error.to_string())
        }
        PublicAddress::Http(url) => http::detect(url).await.map(|address| vec![address]).map_err(|e| e.to_string()),
        PublicAddress::Stun(servers) => {
            stun::detect(servers).await.map(|address| vec![address.ip()]).map_err(|e| e.to_string())
        }
    };
    match found {
        Ok(addresses) if addresses.iter().all(|address| is_unicast(*address)) => Some(addresses),
        Ok(addresses) => {
            tracing::warn!(listen_addr = %socket.listen, ?addresses, "the detected public address cannot be used");
            None
        }
        Err(error) => {
            tracing::warn!(listen_addr = %socket.listen, error, "cannot detect the public address");
            None
        }
    }
}

/// An unspecified IPv4 address also takes IPv6, as in Go; loopback counts only when there is nothing else.
fn of_wildcard(all: &[IpAddr]) -> Vec<IpAddr> {
    let (loopback, other): (Vec<IpAddr>, Vec<IpAddr>) =
        all.iter().filter(|address| is_unicast(**address)).partition(|address| address.is_loopback());
    if other.is_empty() { loopback } else { other }
}

fn addresses_of(endpoints: &[EndpointAddress]) -> Vec<SocketAddr> {
    endpoints.iter().map(EndpointAddress::socket_address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use wovenet_config::tunnel::Scope;

    fn socket(public: PublicAddress) -> LocalSocket {
        LocalSocket { listen: "0.0.0.0:51820".parse().unwrap(), public, public_port: 51820, scope: Scope::Agent }
    }

    fn network() -> (watch::Sender<u64>, watch::Receiver<u64>) {
        watch::channel(0)
    }

    #[tokio::test]
    async fn a_fixed_address_is_announced_with_the_port_that_was_bound() {
        let fixed = LocalSocket { public_port: 0, ..socket(PublicAddress::Fixed("192.0.2.1".parse().unwrap())) };
        let (_sender, network) = network();
        let addresses = Addresses::start(vec![fixed], [(0, 4242)].into(), network);
        let mut endpoints = addresses.subscribe();
        let found = endpoints.wait_for(|endpoints| !endpoints.is_empty()).await.unwrap().clone();
        assert_eq!(addresses_of(&found), ["192.0.2.1:4242".parse().unwrap()]);
        addresses.shutdown().await;
    }

    #[test]
    fn a_wildcard_is_every_usable_address_of_the_host() {
        let all = ["127.0.0.1", "192.0.2.1", "fe80::1", "2001:db8::1"].map(|text| text.parse().unwrap());
        assert_eq!(of_wildcard(&all), [all[1], all[3]]);
        assert_eq!(of_wildcard(&all[..1]), [all[0]]);
    }

    #[tokio::test]
    async fn fault_42_a_changed_address_is_published_at_once_and_a_failure_keeps_the_last_good_one() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let (sender, network) = network();
        let addresses = Addresses::start(vec![socket(PublicAddress::Http(url))], BTreeMap::new(), network);
        let mut endpoints = addresses.subscribe();
        for (body, expected) in [("192.0.2.1", "192.0.2.1"), ("<html>...", "192.0.2.1"), ("192.0.2.2", "192.0.2.2")] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await.unwrap();
            stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{body}").as_bytes()).await.unwrap();
            let at = |all: &[EndpointAddress]| all.iter().any(|one| one.address.to_string() == expected);
            endpoints.wait_for(|endpoints| at(endpoints)).await.unwrap();
            sender.send_modify(|count| *count += 1);
        }
        addresses.shutdown().await;
    }
}
