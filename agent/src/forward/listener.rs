//! One actor for each local socket of a remote app: binds it, keeps it bound, and accepts clients.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use wovenet_config::app::RemoteApp;
use wovenet_config::socket::AppSocket;

use crate::forward::app_stream::DetachedStream;
use crate::forward::client::Client;
use crate::forward::live::LiveApp;
use crate::forward::local_socket::LocalSocket;
use crate::forward::metrics::{ListenerMetrics, StreamResult};
use crate::forward::shared::Shared;

/// The first pause after a failed bind.
const BIND_RETRY_MIN: Duration = Duration::from_millis(200);
/// The longest pause after a failed bind: a freed port is bound within 5 s.
const BIND_RETRY_MAX: Duration = Duration::from_secs(4);
/// The first pause when the system is out of descriptors or memory.
const ACCEPT_PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest such pause.
const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);

/// The state of a local socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenerState {
    /// Not bound yet; a state of moments.
    Starting,
    /// Bound, as said: with the real port where the configuration has 0.
    Listening(AppSocket),
    /// Not bound, and tried again.
    Failed {
        /// Why, in words for a person.
        error: String,
    },
}

/// A listener, as its owner sees it.
pub(super) struct ListenerHandle {
    /// What is served now. A new value serves new clients; the socket stays bound.
    pub(super) app: Arc<ArcSwap<RemoteApp>>,
    pub(super) live: Arc<LiveApp>,
    pub(super) state: watch::Receiver<ListenerState>,
    /// Cancelled to close the socket.
    pub(super) closing: CancellationToken,
    /// Cancelled when the socket is closed.
    pub(super) closed: CancellationToken,
}

/// The actor.
pub(super) struct Listener {
    shared: Arc<Shared>,
    runtime: Handle,
    app: Arc<ArcSwap<RemoteApp>>,
    live: Arc<LiveApp>,
    socket: AppSocket,
    state: watch::Sender<ListenerState>,
    closing: CancellationToken,
    closed: CancellationToken,
}

impl Listener {
    /// Starts the actor. It binds after the sockets of `predecessors` are closed.
    pub(super) fn start(
        shared: &Arc<Shared>,
        runtime: &Handle,
        app: RemoteApp,
        live: Arc<LiveApp>,
        predecessors: Vec<CancellationToken>,
    ) -> ListenerHandle {
        let socket = app.local_socket.clone();
        let app = Arc::new(ArcSwap::from_pointee(app));
        let (state, states) = watch::channel(ListenerState::Starting);
        let (closing, closed) = (shared.closing.child_token(), CancellationToken::new());
        let listener = Self {
            shared: Arc::clone(shared),
            runtime: runtime.clone(),
            app: Arc::clone(&app),
            live: Arc::clone(&live),
            socket,
            state,
            closing: closing.clone(),
            closed: closed.clone(),
        };
        shared.spawn(runtime, listener.run(predecessors));
        ListenerHandle { app, live, state: states, closing, closed }
    }

    async fn run(self, predecessors: Vec<CancellationToken>) {
        // Said on every way out, a panic too.
        let _closed = self.closed.clone().drop_guard();
        for predecessor in predecessors {
            predecessor.cancelled().await;
        }
        let Some(socket) = self.bind().await else { return };
        let up = Up::new(self.live.metrics.listener.as_ref());
        let bound = socket.bound(&self.socket);
        tracing::info!(listen_addr = %bound, "listening for remote app");
        self.say(ListenerState::Listening(bound));
        self.accept(&socket).await;
        drop(up);
    }

    /// Binds, as often as it takes; `None` when the listener is closed first.
    async fn bind(&self) -> Option<LocalSocket> {
        let mut pause = BIND_RETRY_MIN;
        while !self.closing.is_cancelled() {
            match LocalSocket::bind(&self.socket) {
                Ok(socket) => return Some(socket),
                Err(error) => self.bind_failed(error.to_string()),
            }
            tokio::select! {
                biased;
                () = self.closing.cancelled() => {}
                () = sleep(pause.mul_f64(rand::random_range(0.5..1.0))) => {}
            }
            pause = (pause * 2).min(BIND_RETRY_MAX);
        }
        None
    }

    fn bind_failed(&self, error: String) {
        if let Some(metrics) = &self.live.metrics.listener {
            metrics.bind_failures.inc();
        }
        if !matches!(&*self.state.borrow(), ListenerState::Failed { error: known } if *known == error) {
            tracing::warn!(listen_addr = %self.socket, error, "cannot listen for remote app");
            self.say(ListenerState::Failed { error });
        }
    }

    fn say(&self, state: ListenerState) {
        self.state.send_replace(state);
        self.shared.changes.send_modify(|changes| *changes += 1);
    }

    async fn accept(&self, socket: &LocalSocket) {
        let mut pause = ACCEPT_PAUSE_MIN;
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.closing.cancelled() => return,
                accepted = socket.accept() => accepted,
            };
            match accepted {
                Ok(client) => {
                    pause = ACCEPT_PAUSE_MIN;
                    self.admit(client);
                }
                Err(error) => pause = self.accept_failed(&error, pause).await,
            }
        }
    }

    fn admit(&self, socket: DetachedStream) {
        let mut stream = self.live.begin();
        let app = self.app.load_full();
        let client = app.max_connections_per_client.and_then(|most| Some((most, socket.client()?)));
        let is_full = stream.ordinal > app.max_connections as usize
            || client.is_some_and(|(most, client)| stream.count_for(client) > most as usize);
        if is_full {
            return stream.metrics().count(StreamResult::Busy);
        }
        let client = Client::new(Arc::clone(&self.shared), app, stream);
        let runtime = client.runtime().unwrap_or(&self.runtime).clone();
        self.shared.spawn(&runtime, client.run(socket));
    }

    /// Waits when the system lacks something; returns the next pause. Errors of one client need none.
    async fn accept_failed(&self, error: &io::Error, pause: Duration) -> Duration {
        if let Some(metrics) = &self.live.metrics.listener {
            metrics.accept_errors.inc();
        }
        let scarce = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
        if !error.raw_os_error().is_some_and(|code| scarce.contains(&code)) {
            tracing::debug!(listen_addr = %self.socket, %error, "client lost before it was accepted");
            tokio::task::yield_now().await;
            return pause;
        }
        if pause == ACCEPT_PAUSE_MIN {
            tracing::warn!(listen_addr = %self.socket, %error, "cannot accept clients");
        }
        tokio::select! {
            biased;
            () = self.closing.cancelled() => {}
            () = sleep(pause) => {}
        }
        (pause * 2).min(ACCEPT_PAUSE_MAX)
    }
}

/// Counts a bound socket.
struct Up<'a>(Option<&'a ListenerMetrics>);

impl<'a> Up<'a> {
    fn new(metrics: Option<&'a ListenerMetrics>) -> Self {
        if let Some(metrics) = metrics {
            metrics.up.inc();
        }
        Self(metrics)
    }
}

impl Drop for Up<'_> {
    fn drop(&mut self) {
        if let Some(metrics) = self.0 {
            metrics.up.dec();
        }
    }
}
