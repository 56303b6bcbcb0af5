//! The running agent: what it consists of, the configuration in force, and how another one is applied.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use tokio::time::timeout;
use wovenet_config::app::ExposedApp;
use wovenet_config::tunnel::Tunnel;
use wovenet_config::{AgentConfig, Document, Loaded, Problem, load, validate};

use crate::api::agent::{Agent, Applied, ApplyError, Origin, Status};
use crate::app::identity::{Identity, state_location};
use crate::app::metrics::Metrics;
use crate::app::own_addresses;
use crate::app::saved::{self, Choice, Saved};
use crate::app::{GOODBYE_TIMEOUT, StartOptions, status};
use crate::discovery::network::NetworkWatch;
use crate::discovery::{BrokerState, Discovery, DiscoveryMetrics, DiscoverySettings};
use crate::environment;
use crate::forward::{DRAIN_DEFAULT, Forward, ForwardError, ForwardSettings, ListenerState};
use crate::peer::store::{Store, StoreError, load_given_peers, render_peers};
use crate::peer::{Directory, MeshKey, MeshKeyError, MeshKeyRing, Now, OwnStatement, Peers, SignedStatement};
use crate::telemetry::LevelHandle;
use crate::tunnel::{ServeStream, TunnelError, TunnelHandle, TunnelSettings, Tunnels};

/// How long an answer to a new configuration waits for its local sockets to be bound.
const BIND_WAIT: Duration = Duration::from_secs(1);

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

/// A configuration and where it came from.
#[derive(Clone, Debug)]
pub(super) struct InForce {
    pub(super) document: Arc<Document>,
    pub(super) config: Arc<AgentConfig>,
    warnings: Arc<Vec<String>>,
    /// It came over the API, and holds until the file is changed.
    from_api: bool,
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
        let in_force = choose_configuration(&store, loaded, &file_hash);
        let config = in_force.config.clone();
        let now = Now::current();
        let generation = store.next_generation(now.unix_ms);
        let mut directory =
            Directory::new(identity.site, identity.name.clone(), config.trust, &config.peers, &config.denied_keys);
        directory.unpin(&config.unpin);
        store.load_peers(&mut directory, now);
        if let Some(given) = &config.peers_file {
            load_given_peers(given, &mut directory, now);
        }
        let peers = Peers::new(directory);
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
        let forward = Arc::new(Forward::start(ForwardSettings {
            opener: Arc::new(handle.clone()),
            next_acceptor: Box::new({
                let handle = handle.clone();
                move || handle.next_acceptor()
            }),
            registry: metrics.clone(),
            node_addresses: own_addresses::node_addresses(network.clone()),
            drain: DRAIN_DEFAULT,
        })?);
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

    /// Reads the file again. `forced` applies it even when its content did not change, as files that it names may have; then
    /// what the API changed since holds.
    pub(super) async fn reload(self: &Arc<Self>, file: &Path, forced: bool) {
        let content = match std::fs::read(file) {
            Ok(content) => content,
            Err(error) => return tracing::error!(file = %file.display(), %error, "cannot read the configuration file"),
        };
        let hash = saved::hash(&content);
        let is_same = *self.file_hash.lock() == hash;
        if is_same && !forced {
            return self.own_metrics.note_current();
        }
        let loaded = match load(&file.display().to_string(), &content, &environment::variables()) {
            Ok(loaded) => loaded,
            Err(problems) => {
                problems.iter().for_each(|problem| tracing::error!(%problem, "wrong configuration"));
                self.own_metrics.note_refused();
                self.own_metrics.note_stale();
                return tracing::error!(file = %file.display(), "the configuration is refused, the running one stays");
            }
        };
        loaded.warnings.iter().for_each(|problem| tracing::warn!(%problem, "doubtful configuration"));
        let now = self.in_force();
        let document = if is_same && now.from_api { now.document.as_ref().clone() } else { loaded.document };
        match self.apply_document(document, Origin::File).await {
            Ok(_) => *self.file_hash.lock() = hash,
            Err(error) => {
                self.own_metrics.note_refused();
                self.own_metrics.note_stale();
                tracing::error!(file = %file.display(), %error, "the configuration is refused, the running one stays");
            }
        }
    }

    async fn apply_document(self: &Arc<Self>, mut document: Document, origin: Origin) -> Result<Applied, ApplyError> {
        let mut parts = self.parts.lock().await;
        let (before, begun) = (self.in_force(), Instant::now());
        check_revision(&before, &document, origin)?;
        if origin == Origin::Person {
            document.revision = before.document.revision;
        }
        let validated = validate(&document).map_err(ApplyError::Invalid)?;
        check_unchangeable(&before.config, &validated.config)?;
        let config = Arc::new(validated.config);
        let keys_differ = (&before.config.keys, topic(&before.config)) != (&config.keys, topic(&config));
        if keys_differ {
            let ring = derive_ring(&config).await.map_err(|error| ApplyError::Failed(error.to_string()))?;
            self.ring.send_replace(ring);
        }
        self.apply_parts(&mut parts, &before.config, &config).await;
        if origin != Origin::File {
            self.save_document(&document);
        }
        let warnings = Arc::new(lines(&validated.warnings));
        let from_api = origin != Origin::File || (before.from_api && *before.document == document);
        *self.in_force.write() = InForce { document: Arc::new(document), config: config.clone(), warnings, from_api };
        drop(parts);
        self.changed();
        self.own_metrics.note_applied(config.revision, source(origin), begun.elapsed());
        tracing::info!(revision = config.revision, ?origin, "the configuration is applied");
        self.wait_bound().await;
        Ok(Applied { revision: config.revision, listeners: status::listeners(self), warnings: self.warnings() })
    }

    async fn apply_parts(&self, parts: &mut Parts, before: &AgentConfig, config: &AgentConfig) {
        if before.logger.level != config.logger.level {
            self.level.set(config.logger.level);
        }
        if (before.trust, &before.peers, &before.denied_keys) != (config.trust, &config.peers, &config.denied_keys) {
            self.peers.update(|directory| directory.reconfigure(config.trust, &config.peers, &config.denied_keys));
        }
        if before.unpin != config.unpin {
            self.peers.update(|directory| directory.unpin(&config.unpin));
        }
        if before.tunnel != config.tunnel {
            if let Some(tunnels) = &mut parts.tunnels {
                tunnels.apply(&config.tunnel);
            }
            parts.tunnel.send_replace(config.tunnel.clone());
        }
        self.forward.apply(&config.remote_apps, &config.exposed_apps);
        if before.exposed_apps != config.exposed_apps {
            self.exposed.send_replace(Arc::new(config.exposed_apps.clone()));
        }
        if before.mqtt != config.mqtt {
            if let Some(discovery) = parts.discovery.take() {
                discovery.shutdown().await;
            }
            self.start_discovery(parts, config);
        }
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

    fn save_document(&self, document: &Document) {
        let saved = Saved { file_hash: self.file_hash.lock().clone(), document: document.clone() };
        let kept = serde_json::to_vec(&saved).is_ok_and(|json| self.store.save_api_changes(&json));
        if !kept {
            tracing::warn!("a configuration that came over the API is not saved; a restart forgets it");
        }
    }

    async fn wait_bound(&self) {
        let mut changes = self.forward.changes();
        let bound = async {
            let starting = |core: &Self| {
                core.forward.status().iter().any(|listener| matches!(listener.state, ListenerState::Starting))
            };
            while starting(self) && changes.changed().await.is_ok() {}
        };
        // A socket that takes longer is told as starting.
        timeout(BIND_WAIT, bound).await.ok();
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

/// Names where a configuration came from, as a metric label.
fn source(origin: Origin) -> &'static str {
    match origin {
        Origin::File => "file",
        Origin::Operator => "operator",
        Origin::Person => "api",
    }
}

impl Agent for Arc<Core> {
    fn document(&self) -> Arc<Document> {
        self.in_force().document
    }

    fn apply(&self, document: Document, origin: Origin) -> BoxFuture<'static, Result<Applied, ApplyError>> {
        let core = self.clone();
        // A client that goes away must not stop a change half-way.
        let applying = tokio::spawn(async move {
            let applied = core.apply_document(document, origin).await;
            if let Err(error) = &applied {
                core.own_metrics.note_refused();
                // A person has been told, and asks again or not; an older revision is not what anybody wants.
                if origin == Origin::Operator && !matches!(error, ApplyError::Outdated { .. }) {
                    core.own_metrics.note_stale();
                }
            }
            applied
        });
        Box::pin(async move { applying.await.unwrap_or_else(|error| Err(ApplyError::Failed(error.to_string()))) })
    }

    fn status(&self) -> Status {
        status::status(self)
    }

    fn known_peers(&self) -> Vec<u8> {
        self.peers.read(render_peers)
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.watch_changes()
    }

    fn ready(&self) -> bool {
        self.is_ready()
    }
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

fn choose_configuration(store: &Store, loaded: Loaded, file_hash: &str) -> InForce {
    let saved: Option<Saved> = store.load_api_changes().and_then(|json| serde_json::from_slice(&json).ok());
    let from_file = |loaded: Loaded| InForce {
        document: Arc::new(loaded.document),
        config: Arc::new(loaded.config),
        warnings: Arc::new(lines(&loaded.warnings)),
        from_api: false,
    };
    match (saved::choose(&loaded.document, file_hash, saved.as_ref()), saved) {
        (Choice::Saved, Some(saved)) => match validate(&saved.document) {
            Ok(valid) => {
                tracing::info!(revision = valid.config.revision, "using the configuration that came over the API");
                let warnings = Arc::new(lines(&valid.warnings));
                InForce { document: Arc::new(saved.document), config: Arc::new(valid.config), warnings, from_api: true }
            }
            Err(_) => {
                tracing::warn!("the saved configuration is no longer valid; using the file");
                from_file(loaded)
            }
        },
        (Choice::Superseded, _) => {
            tracing::warn!(
                "the configuration file has changed since the API changed the configuration; using the file"
            );
            from_file(loaded)
        }
        _ => from_file(loaded),
    }
}

fn check_revision(before: &InForce, document: &Document, origin: Origin) -> Result<(), ApplyError> {
    let (current, offered) = (before.config.revision, document.revision.unwrap_or(0));
    if origin != Origin::Person && offered < current {
        return Err(ApplyError::Outdated { current, offered });
    }
    Ok(())
}

fn check_unchangeable(before: &AgentConfig, after: &AgentConfig) -> Result<(), ApplyError> {
    let changed = [
        ("siteName", before.site_name != after.site_name),
        ("nodeName", before.node_name != after.node_name),
        ("siteKeyFile", before.site_key_file != after.site_key_file),
        ("stateDir", before.state_dir != after.state_dir),
    ];
    match changed.iter().find(|(_, differs)| *differs) {
        Some((key, _)) => Err(ApplyError::NeedsRestart(format!(
            "{key} cannot change while the agent runs: restart it with the new configuration"
        ))),
        None => Ok(()),
    }
}

async fn derive_ring(config: &AgentConfig) -> Result<MeshKeyRing, MeshKeyError> {
    let (keys, topic) = (config.keys.clone(), topic(config).map(str::to_owned));
    let derived = tokio::task::spawn_blocking(move || MeshKeyRing::derive(&keys, topic.as_deref())).await;
    derived.unwrap_or(Err(MeshKeyError::Crypto))
}

fn topic(config: &AgentConfig) -> Option<&str> {
    config.mqtt.as_ref().and_then(|mqtt| mqtt.topic.as_deref())
}

fn lines(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}
