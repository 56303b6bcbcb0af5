//! Sites in one process, over real sockets.
#![allow(missing_docs, dead_code, unreachable_pub, clippy::unwrap_used, reason = "shared by several test programs")]

pub mod raw;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use wovenet_agent::peer::statement::{PROTOCOL_VERSION, TTL_SECONDS};
use wovenet_agent::peer::{Directory, MeshKeyRing, Peers, SignedStatement, SiteKey, Statement};
use wovenet_agent::tunnel::status::{SiteState, SiteStatus};
use wovenet_agent::tunnel::{IncomingStream, ServeStream, SocketState, TunnelHandle, TunnelSettings, Tunnels};
use wovenet_config::agent::MeshKeys;
use wovenet_config::app::{AllowedSites, ExposedApp, Target};
use wovenet_config::key::MeshKeyText;
use wovenet_config::name::SiteName;
use wovenet_config::peer::{HostPort, Peer, Trust};
use wovenet_config::secret::SecretBytes;
use wovenet_config::socket::AppSocket;
use wovenet_config::tunnel::{CongestionControl, LocalSocket, PublicAddress, Scope, Tunnel};
use zeroize::Zeroizing;

/// Longer than anything takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub fn mesh_key(byte: u8) -> MeshKeyText {
    MeshKeyText::Generated(SecretBytes::new(Zeroizing::new([byte; 32])))
}

pub fn ring(primary: u8, secondary: Option<u8>) -> MeshKeyRing {
    let keys = MeshKeys { primary: mesh_key(primary), secondary: secondary.map(mesh_key) };
    MeshKeyRing::derive(&keys, None).unwrap()
}

pub fn exposed(name: &str) -> ExposedApp {
    ExposedApp {
        name: name.parse().unwrap(),
        target: Target::Single(AppSocket::Tcp(SocketAddr::from(([127, 0, 0, 1], 9)))),
        allowed_sites: AllowedSites::All,
        max_connections: None,
        idle_timeout: None,
        connect_timeout: Duration::from_secs(10),
        proxy_protocol: false,
    }
}

pub struct Options {
    pub name: &'static str,
    pub key: SiteKey,
    pub host: &'static str,
    pub generation: u64,
    pub mesh: MeshKeyRing,
    pub trust: Trust,
    pub listens: bool,
    pub channels: u8,
}

impl Options {
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            key: SiteKey::generate().unwrap(),
            host: "host",
            generation: 1,
            mesh: ring(1, None),
            trust: Trust::SharedKey,
            listens: true,
            channels: 2,
        }
    }
}

/// One agent with its tunnels.
pub struct Agent {
    pub key: SiteKey,
    pub name: SiteName,
    pub peers: Peers,
    pub tunnels: Tunnels,
    pub handle: TunnelHandle,
    pub registry: prometheus::Registry,
    pub ring: watch::Sender<MeshKeyRing>,
    pub statement: watch::Sender<SignedStatement>,
    pub exposed: watch::Sender<Arc<Vec<ExposedApp>>>,
    pub trust: Trust,
    _network: watch::Sender<u64>,
}

/// Sends back what comes in.
pub fn echo() -> ServeStream {
    Arc::new(|mut incoming: IncomingStream| {
        Box::pin(async move {
            while let Ok(Some(chunk)) = incoming.recv.read_chunk(64 * 1024).await {
                if incoming.send.write_chunk(chunk).await.is_err() {
                    return;
                }
            }
            incoming.send.finish();
        })
    })
}

impl Agent {
    pub fn start(options: Options) -> Self {
        Self::start_with(options, echo())
    }

    pub fn start_with(options: Options, serve: ServeStream) -> Self {
        let name: SiteName = options.name.parse().unwrap();
        let agent = options.key.agent_id(options.host);
        let statement = Statement {
            site: options.key.site_id(),
            name: name.clone(),
            agent: agent.clone(),
            host: options.host.into(),
            generation: options.generation,
            sequence: 1,
            ttl: TTL_SECONDS,
            endpoints: vec![],
            versions: vec![PROTOCOL_VERSION],
            delegations: vec![],
            in_reply_to: None,
        };
        let (statement, statement_seen) = watch::channel(SignedStatement::sign(&options.key, statement).unwrap());
        let (ring, ring_seen) = watch::channel(options.mesh);
        let (exposed, exposed_seen) = watch::channel(Arc::new(vec![exposed("app")]));
        let (network, network_seen) = watch::channel(0);
        let peers = Peers::new(Directory::new(options.key.site_id(), name.clone(), options.trust, &[], &[]));
        let registry = prometheus::Registry::new();
        let local_sockets =
            if options.listens { vec![local_socket(SocketAddr::from(([127, 0, 0, 1], 0)))] } else { vec![] };
        let tunnels = Tunnels::start(TunnelSettings {
            site_key: options.key.clone(),
            agent,
            peers: peers.clone(),
            ring: ring_seen,
            statement: statement_seen,
            exposed: exposed_seen,
            network: network_seen,
            serve,
            tunnel: &Tunnel {
                local_sockets,
                channels_per_site: options.channels,
                congestion_control: CongestionControl::default(),
                workers: Some(2),
            },
            registry: &registry,
        })
        .unwrap();
        let handle = tunnels.handle();
        Self {
            key: options.key,
            name,
            peers,
            tunnels,
            handle,
            registry,
            ring,
            statement,
            exposed,
            trust: options.trust,
            _network: network,
        }
    }

    /// Waits until the tunnel socket listens, and returns its address.
    pub async fn address(&self) -> SocketAddr {
        let mut sockets = self.handle.sockets();
        let listening = |states: &wovenet_agent::tunnel::SocketStates| {
            states.values().any(|state| matches!(state, SocketState::Listening(_)))
        };
        let states = tokio::time::timeout(PATIENCE, sockets.wait_for(listening)).await.unwrap().unwrap().clone();
        states
            .values()
            .find_map(|state| match state {
                SocketState::Listening(address) => Some(*address),
                SocketState::Failed(_) => None,
            })
            .unwrap()
    }

    /// Tells this agent where another one can be dialled.
    pub async fn knows(&self, others: &[&Agent]) {
        let mut peers = Vec::new();
        for other in others {
            let address = other.address().await;
            peers.push(static_peer(other, vec![HostPort { host: address.ip().to_string(), port: address.port() }]));
        }
        let trust = self.trust;
        self.peers.update(|directory| directory.reconfigure(trust, &peers, &[]));
    }

    /// Waits until the site `name` has exactly `channels` usable channels.
    pub async fn connected(&self, name: &str, channels: usize) -> SiteStatus {
        self.site(name, |site| {
            site.state == SiteState::Connected
                && site.channels.len() == channels
                && site.channels.iter().all(|channel| channel.state == "good")
        })
        .await
    }

    /// Waits until the site's status satisfies `wanted`.
    pub async fn site(&self, name: &str, wanted: impl Fn(&SiteStatus) -> bool) -> SiteStatus {
        let mut changes = self.handle.subscribe();
        let mut last = Vec::new();
        let waiting = async {
            loop {
                changes.mark_unchanged();
                last = self.handle.sites();
                if let Some(site) = last.iter().find(|site| site.site_name == name && wanted(site)) {
                    return site.clone();
                }
                // Dial errors are no change of a channel, so look now and then.
                tokio::time::timeout(Duration::from_millis(100), changes.changed()).await.ok();
            }
        };
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(site) => site,
            Err(_) => panic!("{} never saw {name} as wanted; last: {last:#?}", self.name),
        }
    }

    /// Returns a metric's value, summed over the series that have all of `labels`.
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |metric: &prometheus::proto::Metric| {
            labels.iter().all(|(key, value)| metric.get_label().iter().any(|l| l.name() == *key && l.value() == *value))
        };
        self.registry
            .gather()
            .iter()
            .filter(|family| family.name() == name)
            .flat_map(|family| family.get_metric())
            .filter(|metric| has(metric))
            .map(|metric| metric.get_counter().get_value() + metric.get_gauge().get_value())
            .sum()
    }
}

pub fn static_peer(agent: &Agent, addresses: Vec<HostPort>) -> Peer {
    Peer { site: agent.name.clone(), public_key: agent.key.public(), addresses }
}

pub fn local_socket(listen: SocketAddr) -> LocalSocket {
    LocalSocket { listen, public: PublicAddress::Listen, public_port: 0, scope: Scope::Agent }
}
