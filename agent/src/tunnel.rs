//! Tunnels: the data channels to each peer site, and the streams that they carry.
//!
//! In: the directory of known sites, the mesh keys, this site's own statement and what it exposes. Out: streams, opened
//! through [`StreamOpener`] and served through [`ServeStream`], and the status of every channel.

mod admitted;
mod catalogue;
mod channel;
mod claims;
mod collector;
mod congestion;
mod connection_id;
mod control;
mod dial;
mod dial_pool;
mod endpoint;
mod frame;
mod half_open;
mod handshake;
mod lagging;
mod listen;
mod memory;
mod metrics;
pub mod open;
mod plan;
mod pulse;
mod race;
mod reassembly;
mod reflections;
mod refusals;
mod registry;
mod repeat;
mod settle;
mod shard;
mod shared;
pub mod status;
pub mod stream;
pub mod stream_header;
mod windows;

#[cfg(test)]
pub(crate) mod testing;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wovenet_config::app::ExposedApp;
use wovenet_config::name::{AppName, SiteName};
use wovenet_config::tunnel::Tunnel;

use crate::peer::{AgentId, MeshKeyRing, Peers, SignedStatement, SiteKey};
use crate::tunnel::collector::ChannelCollector;
use crate::tunnel::dial::{DialErrors, Diallers};
use crate::tunnel::dial_pool::DialPool;
use crate::tunnel::endpoint::EndpointSettings;
use crate::tunnel::lagging::LaggingCredit;
use crate::tunnel::listen::Listeners;
use crate::tunnel::metrics::Metrics;
use crate::tunnel::refusals::Refusals;
use crate::tunnel::registry::Registry;
use crate::tunnel::shard::Shards;
use crate::tunnel::shared::Shared;
use crate::tunnel::windows::Windows;

pub use channel::{Channel, Direction, Health};
pub use frame::CatalogueEntry;
pub use lagging::{LAGS_AFTER, Lag};
pub use listen::{SocketState, SocketStates};
pub use open::{IncomingStream, OpenError, OpenedStream, ProviderState, ReadyChannel, ServeStream, StreamOpener};
pub use repeat::{Claim, Claimed, Course};
pub use stream::{RecvHalf, ResetCode, SendHalf, StreamError};
pub use stream_header::{Answer, StreamHeader, StreamName};

/// How long closed channels may take to tell their peers.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a peer without streams may take to answer a go-away.
const GO_AWAY_TIMEOUT: Duration = Duration::from_secs(2);

/// Why tunnels could not be started.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    /// A thread or its reactor could not be made.
    #[error("cannot start the tunnel threads: {0}")]
    Threads(#[from] std::io::Error),
    /// A metric was registered twice.
    #[error("cannot register the tunnel metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// What tunnels are built from. Everything that can change while they run is a `watch`.
pub struct TunnelSettings<'a> {
    /// The site's key.
    pub site_key: SiteKey,
    /// This agent.
    pub agent: AgentId,
    /// The directory of known sites.
    pub peers: Peers,
    /// The mesh keys.
    pub ring: watch::Receiver<MeshKeyRing>,
    /// What this agent states of itself.
    pub statement: watch::Receiver<SignedStatement>,
    /// What this site exposes.
    pub exposed: watch::Receiver<Arc<Vec<ExposedApp>>>,
    /// Counts changes of the host's network.
    pub network: watch::Receiver<u64>,
    /// Serves the streams that peers open.
    pub serve: ServeStream,
    /// The tunnel section of the configuration.
    pub tunnel: &'a Tunnel,
    /// Where metrics are registered.
    pub registry: &'a prometheus::Registry,
}

/// All tunnels of an agent.
pub struct Tunnels {
    shared: Arc<Shared>,
    listeners: Listeners,
    diallers: JoinHandle<()>,
    pool: Arc<DialPool>,
    errors: DialErrors,
    channels_per_site: watch::Sender<usize>,
    /// Threads end with the last clone.
    shards: Shards,
}

impl Tunnels {
    /// Starts listening and dialling.
    ///
    /// # Errors
    /// [`TunnelError`] when threads or metrics cannot be made. A socket that cannot be bound is a state, not an error.
    pub fn start(settings: TunnelSettings<'_>) -> Result<Self, TunnelError> {
        let shards = Shards::start(settings.tunnel.workers)?;
        let metrics = Metrics::register(settings.registry)?;
        let (channels_per_site, wanted) = watch::channel(usize::from(settings.tunnel.channels_per_site));
        let registry = Registry::new(settings.site_key.site_id());
        settings.registry.register(Box::new(ChannelCollector::new(registry.clone(), metrics.ends.clone())?))?;
        let windows = Windows::of_this_process();
        tracing::info!(receive_window_bytes = windows.receive, "windows of data channels");
        let endpoints = EndpointSettings {
            site_key: settings.site_key.clone(),
            agent: settings.agent.clone(),
            congestion_control: settings.tunnel.congestion_control,
            windows,
        };
        let pool = Arc::new(DialPool::new(endpoints.clone(), metrics.clone()));
        let shared = Arc::new(Shared {
            site_key: settings.site_key,
            agent: settings.agent,
            peers: settings.peers,
            ring: settings.ring,
            statement: settings.statement,
            exposed: settings.exposed,
            channels_per_site: wanted,
            registry,
            reflections: parking_lot::Mutex::default(),
            serve: settings.serve,
            metrics,
            refusals: Refusals::new(),
            windows,
            lagging: LaggingCredit::new(windows),
            cancel: CancellationToken::new(),
            draining: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        let refusals = shared.clone();
        shared.tasks.spawn(async move { refusals.refusals.run(refusals.cancel.clone()).await });
        let errors = DialErrors::default();
        let diallers = Diallers {
            shared: shared.clone(),
            pool: pool.clone(),
            shards: shards.clone(),
            network: settings.network,
            errors: errors.clone(),
        };
        let diallers = tokio::spawn(diallers.run());
        let mut listeners = Listeners::new(shared.clone(), endpoints, shards.clone());
        listeners.apply(&listen_addresses(settings.tunnel));
        Ok(Self { shared, listeners, diallers, pool, errors, channels_per_site, shards })
    }

    /// Takes a changed tunnel section. What did not change is not touched; `workers` and `congestionControl` act on the
    /// next start.
    pub fn apply(&mut self, tunnel: &Tunnel) {
        let wanted = usize::from(tunnel.channels_per_site);
        self.channels_per_site.send_if_modified(|now| std::mem::replace(now, wanted) != wanted);
        self.listeners.apply(&listen_addresses(tunnel));
    }

    /// Returns what the rest of the agent uses.
    pub fn handle(&self) -> TunnelHandle {
        TunnelHandle {
            shared: self.shared.clone(),
            errors: self.errors.clone(),
            sockets: self.listeners.states(),
            shards: self.shards.clone(),
        }
    }

    /// Tells every peer to open new streams elsewhere; dials no more and is dialled no more.
    pub fn go_away(&self) {
        self.shared.draining.cancel();
        self.diallers.abort();
        self.shared.registry.all().iter().for_each(|channel| channel.drain());
        self.shared.registry.changed();
    }

    /// Goes away and waits, `grace` at most, until both sides of every channel have said that all its streams have ended.
    /// A peer that does not say so is waited for only while it has streams.
    pub async fn drain(&self, grace: Duration) {
        self.go_away();
        if timeout(grace, self.drained()).await.is_err() {
            tracing::info!(
                channels = self.shared.registry.all().len(),
                "not every channel drained within the grace period"
            );
        }
    }

    async fn drained(&self) {
        let mut registry = self.shared.registry.subscribe();
        let busy = || self.shared.registry.all().iter().any(|channel| channel.active_streams() > 0);
        loop {
            // The last bytes of a stream that ended in this turn get the next one to arrive.
            let was_busy = busy();
            let none_left =
                async { while !self.shared.registry.all().is_empty() && registry.changed().await.is_ok() {} };
            if timeout(GO_AWAY_TIMEOUT, none_left).await.is_ok() || !(was_busy || busy()) {
                return;
            }
        }
    }

    /// Ends every channel with a code that says so, after streams had `grace` to end.
    pub async fn shutdown(self, grace: Duration) {
        self.drain(grace).await;
        self.shared.cancel.cancel();
        self.shared.tasks.close();
        let told = async {
            self.shared.tasks.wait().await;
            self.pool.wait_idle().await;
            self.listeners.shutdown().await;
        };
        if timeout(CLOSE_TIMEOUT, told).await.is_err() {
            tracing::debug!("not every peer acknowledged the end of its channel");
        }
    }
}

fn listen_addresses(tunnel: &Tunnel) -> Vec<SocketAddr> {
    tunnel.local_sockets.iter().map(|socket| socket.listen).collect()
}

/// Opens streams and tells the state of tunnels. Cheap to clone.
#[derive(Clone)]
pub struct TunnelHandle {
    shared: Arc<Shared>,
    errors: DialErrors,
    sockets: watch::Receiver<SocketStates>,
    shards: Shards,
}

impl TunnelHandle {
    /// Counts changes of any channel.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.shared.registry.subscribe()
    }

    /// Returns the threads of the tunnels in turn, for the acceptance of clients: half a hop, or none, away from a channel.
    pub fn next_acceptor(&self) -> Handle {
        self.shards.next_acceptor().runtime
    }

    /// Follows the tunnel sockets.
    pub fn sockets(&self) -> watch::Receiver<SocketStates> {
        self.sockets.clone()
    }

    /// Returns how many channels answer in time.
    pub fn good_channels(&self) -> usize {
        self.shared.registry.all().iter().filter(|channel| channel.health() == Health::Good).count()
    }

    /// Returns the state of every known site.
    pub fn sites(&self) -> Vec<status::SiteStatus> {
        status::sites(&self.shared, &self.errors)
    }
}

impl StreamOpener for TunnelHandle {
    fn state(&self, site: &SiteName, app: &AppName) -> ProviderState {
        self.shared.registry.state(site, app)
    }

    fn ready(&self, site: &SiteName) -> Option<ReadyChannel> {
        let channel = self.shared.registry.choose(site)?;
        Some(ReadyChannel {
            runtime: channel.runtime().clone(),
            opening: Box::pin({
                let (guard, registry) = (channel.reserve(), self.shared.registry.clone());
                async move { channel.open(guard, &registry).await }
            }),
        })
    }

    fn open(&self, site: SiteName) -> BoxFuture<'static, Result<OpenedStream, OpenError>> {
        let shared = self.shared.clone();
        Box::pin(async move {
            let mut changes = shared.registry.subscribe();
            loop {
                changes.mark_unchanged();
                if let Some(channel) = shared.registry.choose(&site)
                    && let Some(opened) = channel.open(channel.reserve(), &shared.registry).await
                {
                    return Ok(opened);
                }
                if shared.cancel.is_cancelled() {
                    return Err(OpenError::ShuttingDown);
                }
                if shared.registry.choose(&site).is_none() {
                    changes.changed().await.map_err(|_| OpenError::ShuttingDown)?;
                }
            }
        })
    }
}
