//! The tunnel sockets that other sites dial: bound as configured, handshakes judged concurrently.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::tunnel::channel::{Channel, CloseCode, Direction};
use crate::tunnel::endpoint::{Endpoint, EndpointSettings};
use crate::tunnel::half_open::{Admission, HalfOpen, Place};
use crate::tunnel::handshake::{self, Authenticated, HandshakeError};
use crate::tunnel::shard::Shards;
use crate::tunnel::shared::{ACCEPT_TIMEOUT, Shared};

/// From a dialler's first packet to the end of its TLS handshake (docs/protocol.md §6).
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Time between two tries to bind a socket whose port is taken.
const BIND_RETRY: Duration = Duration::from_secs(2);
/// How long the streams on a socket that the configuration names no more may go on; its port is taken until then.
pub const REMOVED_DRAIN: Duration = Duration::from_secs(10);

/// What became of a tunnel socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketState {
    /// Bound, at this address.
    Listening(SocketAddr),
    /// Not bound, for this reason; tried again.
    Failed(String),
}

/// The state of each configured tunnel socket, by its configured address.
pub type SocketStates = BTreeMap<SocketAddr, SocketState>;

/// The sockets that listen now.
pub(super) struct Listeners {
    shared: Arc<Shared>,
    settings: EndpointSettings,
    shards: Shards,
    half_open: HalfOpen,
    states: Arc<watch::Sender<SocketStates>>,
    running: BTreeMap<SocketAddr, CancellationToken>,
    tasks: JoinSet<()>,
}

impl Listeners {
    pub(super) fn new(shared: Arc<Shared>, settings: EndpointSettings, shards: Shards) -> Self {
        Self {
            shared,
            settings,
            shards,
            half_open: HalfOpen::default(),
            states: Arc::new(watch::Sender::new(SocketStates::new())),
            running: BTreeMap::new(),
            tasks: JoinSet::new(),
        }
    }

    pub(super) fn states(&self) -> watch::Receiver<SocketStates> {
        self.states.subscribe()
    }

    /// Listens at exactly `addresses`; sockets that stay are not touched.
    pub(super) fn apply(&mut self, addresses: &[SocketAddr]) {
        let states = self.states.clone();
        self.running.retain(|address, cancel| {
            let stays = addresses.contains(address);
            if !stays {
                cancel.cancel();
                states.send_modify(|states| drop(states.remove(address)));
            }
            stays
        });
        for address in addresses {
            if !self.running.contains_key(address) {
                self.start(*address);
            }
        }
    }

    fn start(&mut self, address: SocketAddr) {
        let cancel = self.shared.cancel.child_token();
        self.running.insert(address, cancel.clone());
        let runtime = self.shards.next().runtime;
        let listener = Listener {
            shared: self.shared.clone(),
            settings: self.settings.clone(),
            half_open: self.half_open.clone(),
            states: self.states.clone(),
            address,
            runtime: runtime.clone(),
            channels: Arc::default(),
        };
        self.tasks.spawn_on(listener.run(cancel), &runtime);
    }

    pub(super) async fn shutdown(mut self) {
        self.running.values().for_each(CancellationToken::cancel);
        while self.tasks.join_next().await.is_some() {}
    }
}

#[derive(Clone)]
struct Listener {
    shared: Arc<Shared>,
    settings: EndpointSettings,
    half_open: HalfOpen,
    states: Arc<watch::Sender<SocketStates>>,
    address: SocketAddr,
    runtime: tokio::runtime::Handle,
    /// The channels that came up on this socket.
    channels: Arc<Mutex<Vec<Weak<Channel>>>>,
}

impl Listener {
    /// Listens until cancelled; then the channels on this socket drain, as only without them its port is free.
    async fn run(self, cancel: CancellationToken) {
        let Some(endpoint) = cancel.run_until_cancelled(self.bind()).await else { return };
        if cancel.run_until_cancelled(self.listen(&endpoint)).await.is_some() {
            tracing::error!(listen_addr = %self.address, "a tunnel socket stopped by itself");
        }
        endpoint.quic.set_server_config(None);
        let channels = self.channels.lock().drain(..).filter_map(|channel| channel.upgrade()).collect::<Vec<_>>();
        channels.iter().for_each(|channel| channel.drain());
        drop(channels);
        tokio::select! {
            () = self.shared.cancel.cancelled() => {}
            _ = timeout(REMOVED_DRAIN, endpoint.quic.wait_idle()) => CloseCode::Done.close_all(&endpoint.quic),
        }
    }

    async fn listen(&self, endpoint: &Endpoint) {
        let mut connections = JoinSet::new();
        while let Some(incoming) = endpoint.quic.accept().await {
            self.judge(incoming, &mut connections);
            while connections.try_join_next().is_some() {}
        }
    }

    fn note_channel(&self, channel: &Arc<Channel>) {
        let mut channels = self.channels.lock();
        channels.retain(|channel| channel.strong_count() > 0);
        channels.push(Arc::downgrade(channel));
    }

    /// Binds the socket, trying again for as long as it fails.
    async fn bind(&self) -> Endpoint {
        loop {
            let peers = self.shared.peers.clone();
            let admit = Arc::new(move |key: &_| peers.read(|directory| directory.admit(key).is_ok()));
            match self.settings.listen(self.address, admit, self.runtime.clone()) {
                Ok(endpoint) => {
                    self.note_bound(&endpoint);
                    return endpoint;
                }
                Err(error) => {
                    tracing::warn!(listen_addr = %self.address, %error, "the tunnel socket does not listen yet");
                    self.set_state(SocketState::Failed(error.to_string()));
                    tokio::time::sleep(BIND_RETRY).await;
                }
            }
        }
    }

    fn note_bound(&self, endpoint: &Endpoint) {
        let bound = endpoint.quic.local_addr().unwrap_or(self.address);
        let granted = endpoint.granted_receive_buffer;
        self.shared.metrics.udp_buffer.with_label_values(&["listen"]).set(i64::try_from(granted).unwrap_or(i64::MAX));
        tracing::info!(listen_addr = %bound, receive_buffer_bytes = granted, "the tunnel socket listens");
        self.set_state(SocketState::Listening(bound));
    }

    fn set_state(&self, state: SocketState) {
        self.states.send_if_modified(|states| states.insert(self.address, state.clone()) != Some(state));
    }

    /// Decides on a handshake at once; nothing of it is awaited here.
    fn judge(&self, incoming: quinn::Incoming, connections: &mut JoinSet<()>) {
        if self.shared.draining.is_cancelled() {
            return incoming.refuse();
        }
        let address = incoming.remote_address();
        let admission = self.half_open.admit(address.ip(), incoming.remote_address_validated());
        let result = match admission {
            Admission::Accept(_) => "accepted",
            Admission::Retry => "retried",
            Admission::Ignore => "ignored",
        };
        self.shared.metrics.handshakes.with_label_values(&[result]).inc();
        match admission {
            Admission::Accept(place) => {
                connections.spawn_on(self.clone().serve(incoming, place), &self.runtime);
            }
            Admission::Ignore => incoming.ignore(),
            Admission::Retry => {
                if let Err(error) = incoming.retry() {
                    error.into_incoming().ignore();
                }
            }
        }
    }

    async fn serve(self, incoming: quinn::Incoming, place: Place) {
        let started = Instant::now();
        let remote = incoming.remote_address();
        let connection = match timeout(HANDSHAKE_TIMEOUT, async { incoming.accept()?.await }).await {
            Ok(Ok(connection)) => connection,
            failed => {
                let error = failed.map_or(HandshakeError::Timeout, |result: Result<quinn::Connection, _>| {
                    result.err().map_or(HandshakeError::Timeout, HandshakeError::Connection)
                });
                self.shared.metrics.failed("listener", &error);
                tracing::debug!(remote_addr = %remote, %error, "TLS handshake failed");
                return;
            }
        };
        let judge = |statement: &_| self.shared.judge(statement);
        let credentials = self.shared.credentials();
        let exchange = handshake::listen(&connection, &credentials, &judge);
        let outcome = match timeout(ACCEPT_TIMEOUT, exchange).await {
            Err(_) => Err(HandshakeError::Timeout),
            Ok(outcome) => outcome,
        };
        drop(place);
        match outcome {
            Err(error) => self.shared.refuse(&connection, "listener", &error),
            Ok(authenticated) => {
                let metrics = &self.shared.metrics;
                metrics.connects.with_label_values(&["listener", "ok"]).inc();
                metrics.handshake_seconds.with_label_values(&["listener"]).observe(started.elapsed().as_secs_f64());
                self.shared.tasks.spawn_on(self.clone().run_channel(connection, authenticated), &self.runtime);
            }
        }
    }

    async fn run_channel(self, connection: quinn::Connection, authenticated: Authenticated) {
        let (shared, runtime) = (self.shared.clone(), self.runtime.clone());
        let up = |channel: Arc<Channel>| self.note_channel(&channel);
        let run = shared.run_channel(connection.clone(), runtime, Direction::Accepted, authenticated, up).await;
        if let Err(error) = run {
            self.shared.refuse(&connection, "listener", &error);
        }
    }
}
