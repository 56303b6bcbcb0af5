//! Two agents' forwarding over one QUIC connection in one process: clients at one end, apps at the other.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use prometheus::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use wovenet_config::app::{APP_DIAL_TIMEOUT, AllowedSites, ExposedApp, Provider, RemoteApp, Target};
use wovenet_config::key::SiteId;
use wovenet_config::name::{AppName, SiteName};
use wovenet_config::socket::AppSocket;

use crate::forward::{DRAIN_DEFAULT, Forward, ForwardSettings};
use crate::peer::{PeerIdentity, SiteKey};
use crate::tunnel::testing::Pair;
use crate::tunnel::{IncomingStream, OpenError, OpenedStream, ProviderState, ReadyChannel, StreamOpener};

/// How long a test waits for anything; generous, as the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// The site that dials in the tests.
pub(crate) const CLIENT_SITE: &str = "berlin";
/// The site that exposes apps in the tests.
pub(crate) const APP_SITE: &str = "paris";

pub(crate) fn identity(name: &str) -> PeerIdentity {
    PeerIdentity {
        site: SiteId::from_hash(&[7; 32]),
        name: name.parse().unwrap(),
        agent: SiteKey::from_seed(&[7; 32]).unwrap().agent_id("node"),
    }
}

pub(crate) fn exposed(name: &str, target: Target) -> ExposedApp {
    ExposedApp {
        name: name.parse().unwrap(),
        target,
        allowed_sites: AllowedSites::All,
        max_connections: None,
        idle_timeout: None,
        connect_timeout: APP_DIAL_TIMEOUT,
        proxy_protocol: false,
    }
}

pub(crate) fn provider(site: &str, app: &str) -> Provider {
    Provider { site: site.parse().unwrap(), app: app.parse().unwrap(), priority: 0, weight: 1 }
}

pub(crate) fn remote(app: &str) -> RemoteApp {
    RemoteApp {
        providers: vec![provider(APP_SITE, app)],
        port: None,
        target: None,
        local_socket: AppSocket::Tcp(SocketAddr::from(([127, 0, 0, 1], 0))),
        connect_timeout: Duration::from_secs(30),
        idle_timeout: None,
        max_connections: 16_384,
        max_connections_per_client: None,
    }
}

/// Waits for a condition; it fails after [`PATIENCE`].
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Bounds a wait by [`PATIENCE`].
pub(crate) async fn patiently<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("took too long")
}

/// Opens streams over a pair; what is known of each site is set by the test.
pub(crate) struct PairOpener {
    pub(crate) connection: quinn::Connection,
    pub(crate) states: Mutex<BTreeMap<SiteName, ProviderState>>,
    /// Where the streams' tasks run; the test's own runtime unless set.
    pub(crate) runtime: Mutex<Option<Handle>>,
    changed: tokio::sync::Notify,
}

impl PairOpener {
    pub(crate) fn set(&self, site: &str, state: ProviderState) {
        self.states.lock().insert(site.parse().unwrap(), state);
        self.changed.notify_waiters();
    }
}

/// The opener as a trait object holds it.
struct Opener(Arc<PairOpener>);

impl StreamOpener for Opener {
    fn state(&self, site: &SiteName, _app: &AppName) -> ProviderState {
        self.0.states.lock().get(site).copied().unwrap_or(ProviderState::Available)
    }

    fn ready(&self, site: &SiteName) -> Option<ReadyChannel> {
        if self.0.states.lock().get(site) == Some(&ProviderState::NoPath) {
            return None;
        }
        let runtime = self.0.runtime.lock().clone().unwrap_or_else(Handle::current);
        let opening = self.open(site.clone());
        Some(ReadyChannel { runtime, opening: async { opening.await.ok() }.boxed() })
    }

    fn open(&self, site: SiteName) -> BoxFuture<'static, Result<OpenedStream, OpenError>> {
        let opener = Arc::clone(&self.0);
        async move {
            loop {
                let changed = opener.changed.notified();
                if opener.states.lock().get(&site) != Some(&ProviderState::NoPath) {
                    break;
                }
                changed.await;
            }
            let (send, recv) = opener.connection.open_bi().await.map_err(|_| OpenError::NoPath)?;
            let (send, recv) = crate::tunnel::testing::halves(send, recv);
            let runtime = opener.runtime.lock().clone().unwrap_or_else(Handle::current);
            Ok(OpenedStream { send, recv, runtime, peer: identity(APP_SITE), course: None })
        }
        .boxed()
    }
}

/// Both ends.
pub(crate) struct World {
    pub(crate) pair: Pair,
    pub(crate) opener: Arc<PairOpener>,
    /// Where clients come in.
    pub(crate) near: Arc<Forward>,
    /// Where apps are dialled.
    pub(crate) far: Arc<Forward>,
    pub(crate) near_registry: Registry,
    pub(crate) far_registry: Registry,
    accepting: tokio::task::JoinHandle<()>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(quinn::TransportConfig::default(), DRAIN_DEFAULT).await
    }

    pub(crate) async fn with(transport: quinn::TransportConfig, drain: Duration) -> Self {
        let pair = Pair::connect_with(transport).await;
        let connection = pair.dialler.clone();
        let opener = Arc::new(PairOpener {
            connection,
            states: Mutex::default(),
            runtime: Mutex::default(),
            changed: tokio::sync::Notify::new(),
        });
        let (near_registry, far_registry) = (Registry::new(), Registry::new());
        let near = start(&opener, &near_registry, drain);
        let far = start(&opener, &far_registry, drain);
        let (listener, serve) = (pair.listener.clone(), far.serve());
        let accepting = tokio::spawn(async move {
            let mut streams = tokio::task::JoinSet::new();
            while let Ok((send, recv)) = listener.accept_bi().await {
                let (send, recv) = crate::tunnel::testing::halves(send, recv);
                streams.spawn(serve(IncomingStream { send, recv, peer: identity(CLIENT_SITE), claim: None }));
            }
            while streams.join_next().await.is_some() {}
        });
        Self { pair, opener, near, far, near_registry, far_registry, accepting }
    }

    /// Exposes one app at `target` and gives it a local socket; returns where clients connect.
    pub(crate) async fn single(target: SocketAddr) -> (Self, SocketAddr) {
        let world = Self::new().await;
        world.far.apply(&[], &[exposed("app", Target::Single(AppSocket::Tcp(target)))]);
        world.near.apply(&[remote("app")], &[]);
        let address = world.bound(0).await;
        (world, address)
    }

    /// Returns where the listener is bound, once it is.
    pub(crate) async fn bound(&self, index: usize) -> SocketAddr {
        until("bound", || self.near.status()[index].bound().is_some()).await;
        match self.near.status()[index].bound() {
            Some(AppSocket::Tcp(address)) => *address,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until no stream is left at either end.
    pub(crate) async fn quiet(&self) {
        until("no open stream", || {
            self.near.activity().iter().chain(&self.far.activity()).all(|activity| activity.open == 0)
        })
        .await;
    }
}

fn start(opener: &Arc<PairOpener>, registry: &Registry, drain: Duration) -> Arc<Forward> {
    let settings = ForwardSettings {
        opener: Arc::new(Opener(Arc::clone(opener))),
        next_acceptor: Box::new(Handle::current),
        registry: registry.clone(),
        node_addresses: Arc::new(|| Some(Vec::new())),
        drain,
    };
    Arc::new(Forward::start(settings).unwrap())
}

/// The sum of a metric over the series whose labels include all of `labels`.
pub(crate) fn metric(registry: &Registry, name: &str, labels: &[(&str, &str)]) -> f64 {
    let families = registry.gather();
    let series = families.iter().filter(|family| family.name() == name).flat_map(|family| family.get_metric());
    let fits = |metric: &&prometheus::proto::Metric| {
        labels.iter().all(|(k, v)| metric.get_label().iter().any(|pair| pair.name() == *k && pair.value() == *v))
    };
    let value = |m: &prometheus::proto::Metric| {
        m.get_counter().get_value() + m.get_gauge().get_value() + m.get_histogram().get_sample_count() as f64
    };
    series.filter(fits).map(value).sum()
}

/// An app that serves each connection with `serve`.
pub(crate) async fn app<F, S>(serve: S) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
    S: Fn(TcpStream) -> F + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// A port that nobody listens on.
pub(crate) async fn dead_app() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// An opener for tests that open nothing.
pub(crate) struct NoOpener;

impl StreamOpener for NoOpener {
    fn state(&self, _site: &SiteName, _app: &AppName) -> ProviderState {
        ProviderState::NoPath
    }

    fn ready(&self, _site: &SiteName) -> Option<ReadyChannel> {
        None
    }

    fn open(&self, _site: SiteName) -> BoxFuture<'static, Result<OpenedStream, OpenError>> {
        futures_util::future::ready(Err(OpenError::NoPath)).boxed()
    }
}
