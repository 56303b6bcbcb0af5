//! The running agent: what it consists of, how it starts and ends.

mod apply;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use wovenet_config::app::ExposedApp;
use wovenet_config::tunnel::Tunnel;
use wovenet_config::{AgentConfig, Loaded};

use crate::app::identity::{Identity, state_location};
use crate::app::in_force::{InForce, derive_ring};
use crate::app::metrics::Metrics;
use crate::app::own_addresses;
use crate::app::saved;
use crate::app::{GOODBYE_TIMEOUT, StartOptions};
use crate::discovery::network::NetworkWatch;
use crate::discovery::{BrokerState, Discovery, DiscoveryMetrics, DiscoverySettings};
use crate::forward::{DRAIN_DEFAULT, Forward, ForwardError, ForwardSettings};
use crate::peer::store::{Store, StoreError, load_given_peers, render_peers};
use crate::peer::{Directory, MeshKey, MeshKeyError, MeshKeyRing, Now, OwnStatement, Peers, SignedStatement};
use crate::telemetry::LevelHandle;
use crate::tunnel::{ServeStream, TunnelError, TunnelHandle, TunnelSettings, Tunnels};

/// Why the agent cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state directory or the site key cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A mesh key cannot be derived.
    #[error(transparent)]
    MeshKey(#[from] MeshKeyError),
    /// The tunnels cannot start.
    #[error(transparent)]
    Tunnel(#[from] TunnelError),
    /// Forwarding cannot start.
    #[error(transparent)]
    Forward(#[from] ForwardError),
    /// A metric was registered twice.
    #[error("cannot register metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// This site's statement is too large.
    #[error("cannot state who this site is: {0}")]
    Statement(#[from] crate::peer::StatementError),
}

/// The parts that only one change at a time may touch.
struct Parts {
    tunnels: Option<Tunnels>,
    discovery: Option<Discovery>,
    tunnel: watch::Sender<Tunnel>,
    _network: NetworkWatch,
}

/// A running agent without its servers.
pub struct Core {
    pub(super) identity: Identity,
    pub(super) peers: Peers,
    pub(super) tunnels: TunnelHandle,
    pub(super) forward: Arc<Forward>,
    pub(super) metrics: prometheus::Registry,
    store: Store,
    level: LevelHandle,
    in_force: RwLock<InForce>,
    file_hash: Mutex<String>,
    parts: tokio::sync::Mutex<Parts>,
    ring: watch::Sender<MeshKeyRing>,
    exposed: watch::Sender<Arc<Vec<ExposedApp>>>,
    pub(super) own: watch::Receiver<OwnStatement>,
    network: watch::Receiver<u64>,
    pub(super) brokers: watch::Sender<Vec<watch::Receiver<BrokerState>>>,
    discovery_metrics: DiscoveryMetrics,
    own_metrics: Metrics,
    changes: watch::Sender<u64>,
    ready: AtomicBool,
    draining: AtomicBool,
}

impl Core {
    pub(super) async fn start(
        loaded: Loaded,
        options: &StartOptions,
        level: LevelHandle,
        metrics: prometheus::Registry,
    ) -> Result<Arc<Self>, StartError> {
        let begun = Instant::now();
        let location = state_location(&loaded.config, options.ephemeral);
        let (identity, store) = Identity::open(&loaded.config, &location)?;
        let file_hash = std::fs::read(&options.file).map(|content| saved::hash(&content)).unwrap_or_default();
        let in_force = InForce::choose(&store, loaded, &file_hash);
        let config = in_force.config.clone();
        let now = Now::current();
        let generation = store.next_generation(now.unix_ms);
        let peers = Peers::new(known_peers(&config, &identity, &store, now));
        let (ring, ring_seen) = watch::channel(derive_ring(&config).await?);
        let (exposed, exposed_seen) = watch::channel(Arc::new(config.exposed_apps.clone()));
        let network_watch = NetworkWatch::start();
        let network = network_watch.subscribe();
        let own = OwnStatement::new(&identity.key, identity.name.clone(), &identity.host, generation);
        let (own, own_seen) = watch::channel(own);
        let (statement, statement_seen) = watch::channel(own_seen.borrow().sign(&identity.key, None)?);
        let late_serve: Arc<std::sync::OnceLock<ServeStream>> = Arc::default();
        let tunnels = Tunnels::start(TunnelSettings {
            site_key: identity.key.clone(),
            agent: identity.agent.clone(),
            peers: peers.clone(),
            ring: ring_seen,
            statement: statement_seen,
            exposed: exposed_seen,
            network: network.clone(),
            serve: serve_later(late_serve.clone()),
            tunnel: &config.tunnel,
            registry: &metrics,
        })?;
        let handle = tunnels.handle();
        let (tunnel, tunnel_seen) = watch::channel(config.tunnel.clone());
        tokio::spawn(own_addresses::follow(
            tunnel_seen,
            handle.sockets(),
            own_addresses::worth_a_look(network.clone(), handle.clone()),
            own,
            identity.host.clone(),
        ));
        let forward = Arc::new(start_forward(&handle, &network, &metrics)?);
        late_serve.set(forward.serve()).ok();
        forward.apply(&config.remote_apps, &config.exposed_apps);
        tokio::spawn(sign_statements(identity.clone(), own_seen.clone(), statement));
        let core = Arc::new(Self {
            identity,
            peers,
            tunnels: handle,
            forward,
            discovery_metrics: DiscoveryMetrics::new(&metrics)?,
            own_metrics: Metrics::register(&metrics)?,
            metrics,
            store,
            level,
            in_force: RwLock::new(in_force),
            file_hash: Mutex::new(file_hash),
            parts: tokio::sync::Mutex::new(Parts {
                tunnels: Some(tunnels),
                discovery: None,
                tunnel,
                _network: network_watch,
            }),
            ring,
            exposed,
            own: own_seen,
            network,
            brokers: watch::Sender::default(),
            changes: watch::Sender::new(0),
            ready: AtomicBool::new(false),
            draining: AtomicBool::new(false),
        });
        core.start_discovery(&mut *core.parts.lock().await, &config);
        let source = if core.in_force().from_api { "saved" } else { "file" };
        core.own_metrics.note_applied(config.revision, source, begun.elapsed());
        Ok(core)
    }

    pub(super) fn in_force(&self) -> InForce {
        self.in_force.read().clone()
    }

    pub(super) fn config(&self) -> Arc<AgentConfig> {
        self.in_force.read().config.clone()
    }

    pub(super) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    pub(super) fn set_ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
        self.own_metrics.ready.set(1);
        self.changed();
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(super) fn save_peers(&self) {
        // The disk may be slow, and handshakes look into the directory.
        let rendered = self.peers.read(render_peers);
        self.store.save_peers(&rendered);
    }

    pub(super) fn watch_changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(super) fn changed(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }

    pub(super) fn brokers(&self) -> Vec<BrokerState> {
        self.brokers.borrow().iter().map(|broker| broker.borrow().clone()).collect()
    }

    pub(super) fn endpoints(&self) -> Vec<String> {
        let own = self.own.borrow();
        own.base().endpoints.iter().map(|endpoint| endpoint.socket_address().to_string()).collect()
    }

    pub(super) fn mesh_key_ids(&self) -> Vec<String> {
        self.ring.borrow().keys().iter().map(MeshKey::id).map(|id| id.to_string()).collect()
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = self.in_force.read().warnings.as_ref().clone();
        if self.store.is_degraded() {
            warnings.push("the state directory cannot be written: a restart forgets peers and API changes".to_owned());
        }
        self.peers.read(|directory| {
            for conflict in directory.conflicts() {
                warnings.push(format!(
                    "site {} claims the name {}, which belongs to site {}",
                    conflict.refused, conflict.name, conflict.bound_to
                ));
            }
        });
        warnings
    }

    fn start_discovery(&self, parts: &mut Parts, config: &AgentConfig) {
        let settings = config.mqtt.clone().map(|mqtt| DiscoverySettings {
            mqtt,
            keys: self.ring.subscribe(),
            site_key: self.identity.key.clone(),
            own: self.own.clone(),
            peers: self.peers.clone(),
            network: self.network.clone(),
            metrics: self.discovery_metrics.clone(),
        });
        parts.discovery = settings.map(Discovery::start);
        self.brokers
            .send_replace(parts.discovery.as_ref().map(|discovery| discovery.brokers().to_vec()).unwrap_or_default());
        self.changed();
    }

    pub(super) async fn shutdown(&self, grace: Duration) {
        self.draining.store(true, Ordering::Relaxed);
        self.changed();
        let mut parts = self.parts.lock().await;
        let tunnels = parts.tunnels.take();
        self.forward.close();
        let started = Instant::now();
        if let Some(tunnels) = &tunnels {
            tunnels.drain(grace).await;
        }
        self.forward.shutdown(grace.saturating_sub(started.elapsed())).await;
        if let Some(tunnels) = tunnels {
            tunnels.shutdown(GOODBYE_TIMEOUT).await;
        }
        if let Some(discovery) = parts.discovery.take() {
            discovery.shutdown().await;
        }
        self.save_peers();
    }
}

/// Returns what is known of other sites before the first of them says anything.
fn known_peers(config: &AgentConfig, identity: &Identity, store: &Store, now: Now) -> Directory {
    let mut directory =
        Directory::new(identity.site, identity.name.clone(), config.trust, &config.peers, &config.denied_keys);
    directory.unpin(&config.unpin);
    store.load_peers(&mut directory, now);
    if let Some(given) = &config.peers_file {
        load_given_peers(given, &mut directory, now);
    }
    directory
}

fn start_forward(
    tunnels: &TunnelHandle,
    network: &watch::Receiver<u64>,
    registry: &prometheus::Registry,
) -> Result<Forward, ForwardError> {
    let acceptors = tunnels.clone();
    Forward::start(ForwardSettings {
        opener: Arc::new(tunnels.clone()),
        next_acceptor: Box::new(move || acceptors.next_acceptor()),
        registry: registry.clone(),
        node_addresses: own_addresses::node_addresses(network.clone()),
        drain: DRAIN_DEFAULT,
    })
}

/// Signs what this agent states whenever its addresses change.
async fn sign_statements(
    identity: Identity,
    mut own: watch::Receiver<OwnStatement>,
    statement: watch::Sender<SignedStatement>,
) {
    while own.changed().await.is_ok() {
        let signed = own.borrow_and_update().sign(&identity.key, None);
        match signed {
            Ok(signed) => drop(statement.send_replace(signed)),
            Err(error) => tracing::error!(%error, "cannot state this agent's addresses"),
        }
    }
}

/// Tunnels are built before forwarding, which needs them: streams that come in between are refused.
fn serve_later(serve: Arc<std::sync::OnceLock<ServeStream>>) -> ServeStream {
    Arc::new(move |incoming| match serve.get() {
        Some(serve) => serve(incoming),
        None => Box::pin(async move { drop(incoming) }),
    })
}
