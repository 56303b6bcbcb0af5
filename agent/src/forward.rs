//! Forwarding: local sockets whose clients reach apps of other sites, and connectors that dial our own apps for them.

mod access;
mod answer;
mod app_stream;
mod audit;
mod client;
mod connector;
mod copy;
mod dialler;
mod download;
mod flow;
mod introduction;
mod listener;
mod live;
mod local_socket;
mod metrics;
mod provider;
mod proxy_protocol;
mod shared;
mod unix_socket;
mod upload;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::Registry;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wovenet_config::app::{ExposedApp, RemoteApp};
use wovenet_config::socket::AppSocket;

use crate::tunnel::{ServeStream, StreamOpener};

pub use connector::{HEADER_TIMEOUT, NodeAddresses};
pub use dialler::{APP_DIALS_MAX, DIALS_MAX};
pub use listener::ListenerState;
pub use metrics::Role;

use connector::Connector;
use listener::{Listener, ListenerHandle};
use live::LiveApp;
use metrics::Metrics;
use shared::Shared;

/// How long the streams of a removed remote app may go on.
pub const DRAIN_DEFAULT: Duration = Duration::from_secs(30);

/// Why forwarding could not start.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// The registry has metrics of these names already.
    #[error("cannot register the metrics of forwarding: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// What forwarding needs of the rest of the agent.
pub struct ForwardSettings {
    /// Opens streams towards sites.
    pub opener: Arc<dyn StreamOpener>,
    /// Tells where the next local socket accepts its clients.
    pub next_acceptor: Box<dyn Fn() -> Handle + Send + Sync>,
    /// Where the metrics are registered.
    pub registry: Registry,
    /// Tells this node's own addresses, which range apps must not reach.
    pub node_addresses: NodeAddresses,
    /// How long the streams of a removed remote app may go on.
    pub drain: Duration,
}

/// One local socket and its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerStatus {
    /// The remote app as configured.
    pub remote_app: Arc<RemoteApp>,
    /// Whether its local socket is bound, and as what.
    pub state: ListenerState,
}

impl ListenerStatus {
    /// Returns the local socket as bound, once it is.
    pub fn bound(&self) -> Option<&AppSocket> {
        match &self.state {
            ListenerState::Listening(bound) => Some(bound),
            ListenerState::Starting | ListenerState::Failed { .. } => None,
        }
    }
}

/// The streams of one app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppActivity {
    /// The app's name, as the metrics have it: `site/app` of the first provider for a remote app.
    pub app: String,
    /// Which side of it this agent plays.
    pub role: Role,
    /// Streams that are open now.
    pub open: usize,
    /// Bytes out of the tunnel since the app was configured, counted at least every 64 KiB of a stream.
    pub rx_bytes: u64,
    /// Bytes into the tunnel, likewise.
    pub tx_bytes: u64,
}

/// All forwarding of one agent.
pub struct Forward {
    shared: Arc<Shared>,
    connector: Arc<Connector>,
    listeners: Mutex<Vec<ListenerHandle>>,
    next_acceptor: Box<dyn Fn() -> Handle + Send + Sync>,
    drain: Duration,
    /// The task of the audit log, which ends after all others.
    audit: TaskTracker,
}

impl Forward {
    /// Starts with nothing to forward.
    ///
    /// # Errors
    /// [`ForwardError::Metrics`] when the registry refuses the metrics.
    pub fn start(settings: ForwardSettings) -> Result<Self, ForwardError> {
        let shared = Shared::new(settings.opener, Metrics::register(&settings.registry)?);
        let connector = Connector::new(Arc::clone(&shared), settings.node_addresses);
        let ForwardSettings { next_acceptor, drain, .. } = settings;
        let audit = TaskTracker::new();
        audit.spawn(Arc::clone(&connector).run_audit(shared.revoked.clone()));
        Ok(Self { shared, connector, listeners: Mutex::default(), next_acceptor, drain, audit })
    }

    /// Makes these the apps, and changes only what differs. Streams of a removed remote app are drained; streams
    /// that an exposed app no longer allows are reset; all others go on.
    pub fn apply(&self, remote_apps: &[RemoteApp], exposed_apps: &[ExposedApp]) {
        let mut listeners = self.listeners.lock();
        self.connector.apply(exposed_apps);
        let mut old: Vec<_> = std::mem::take(&mut *listeners).into_iter().map(Some).collect();
        let mut kept: Vec<_> = remote_apps.iter().map(|app| keep(&mut old, app, equals)).collect();
        for (app, kept) in remote_apps.iter().zip(&mut kept) {
            *kept = kept.take().or_else(|| keep(&mut old, app, adapts));
        }
        let removed: Vec<_> = old.into_iter().flatten().map(|listener| self.remove(listener)).collect();
        *listeners = remote_apps
            .iter()
            .zip(kept)
            .map(|(app, kept)| kept.unwrap_or_else(|| self.listen(app, removed.clone())))
            .collect();
        drop(listeners);
        self.shared.changes.send_modify(|changes| *changes += 1);
    }

    fn listen(&self, app: &RemoteApp, predecessors: Vec<CancellationToken>) -> ListenerHandle {
        let metrics = self.shared.metrics.app(Role::Remote, &label(app));
        let live = LiveApp::new(metrics, &self.shared.revoked);
        Listener::start(&self.shared, &(self.next_acceptor)(), app.clone(), live, predecessors)
    }

    /// Closes a listener and drains its streams; returns what says that its socket is closed.
    fn remove(&self, listener: ListenerHandle) -> CancellationToken {
        listener.closing.cancel();
        let (closing, drain, revoked) = (self.shared.closing.clone(), self.drain, listener.live.revocation());
        self.shared.spawn(&(self.next_acceptor)(), async move {
            tokio::select! {
                // From then on the grace of the shutdown counts.
                () = closing.cancelled() => {}
                () = sleep(drain) => revoked.cancel(),
            }
        });
        listener.closed
    }

    /// Returns what serves the streams of other sites.
    pub fn serve(&self) -> ServeStream {
        let connector = Arc::clone(&self.connector);
        Arc::new(move |incoming| connector.serve(incoming))
    }

    /// Returns the state of each local socket, in the order of the configuration.
    pub fn status(&self) -> Vec<ListenerStatus> {
        let status = |listener: &ListenerHandle| ListenerStatus {
            remote_app: listener.app.load_full(),
            state: listener.state.borrow().clone(),
        };
        self.listeners.lock().iter().map(status).collect()
    }

    /// Returns what moves with each change of [`Forward::status`].
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    /// Returns the streams of each app, exposed ones first.
    pub fn activity(&self) -> Vec<AppActivity> {
        let exposed = self.connector.live().into_iter().map(|(app, live)| activity(app, Role::Exposed, &live));
        let listeners = self.listeners.lock();
        let remote = listeners.iter().map(|l| activity(label(&l.app.load()), Role::Remote, &l.live));
        exposed.chain(remote).collect()
    }

    /// Accepts no new clients. Streams that other sites open are served until [`Forward::shutdown`] is over: they were
    /// opened before the other site knew.
    pub fn close(&self) {
        self.shared.closing.cancel();
    }

    /// Stops accepting, lets streams finish within `grace`, resets the rest, and returns when every task has ended.
    pub async fn shutdown(&self, grace: Duration) {
        self.close();
        self.shared.tasks.close();
        if timeout(grace, self.shared.tasks.wait()).await.is_err() {
            tracing::warn!(tasks = self.shared.tasks.len(), "streams reset at the end of the grace");
        }
        self.shared.revoked.cancel();
        self.shared.tasks.wait().await;
        self.audit.close();
        self.audit.wait().await;
    }
}

type Fits = fn(&RemoteApp, &RemoteApp) -> bool;

/// Takes the listener that `fits` the app out of `old`, and lets it serve the app from now on.
fn keep(old: &mut [Option<ListenerHandle>], app: &RemoteApp, fits: Fits) -> Option<ListenerHandle> {
    let fitting = |slot: &Option<ListenerHandle>| slot.as_ref().is_some_and(|l| fits(&l.app.load(), app));
    let listener = old.iter().position(fitting).and_then(|index| old[index].take())?;
    if !equals(&listener.app.load(), app) {
        listener.app.store(Arc::new(app.clone()));
    }
    Some(listener)
}

fn equals(now: &RemoteApp, wanted: &RemoteApp) -> bool {
    now == wanted
}

/// Tells a change that needs no new socket.
fn adapts(now: &RemoteApp, wanted: &RemoteApp) -> bool {
    now.local_socket == wanted.local_socket && label(now) == label(wanted)
}

fn label(app: &RemoteApp) -> String {
    app.providers.first().map(|provider| format!("{}/{}", provider.site, provider.app)).unwrap_or_default()
}

fn activity(app: String, role: Role, live: &LiveApp) -> AppActivity {
    let (rx_bytes, tx_bytes) = (live.metrics.rx.get(), live.metrics.tx.get());
    AppActivity { app, role, open: live.open(), rx_bytes, tx_bytes }
}
