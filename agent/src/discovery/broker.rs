//! The actor of one broker: connects, runs a session, and tries again with back-off. A broker that misbehaves costs a
//! reconnect, never the agent.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::FutureExt;
use parking_lot::Mutex;
use rumqttc::{AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, LastWill, Packet, RetainForwardRule};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use wovenet_config::message_channel::Broker;

use super::announcing::Outgoing;
use super::answers::Answers;
use super::broker_state::{BrokerError, BrokerErrorClass, BrokerState, is_oversized};
use super::inbound::Inbound;
use super::mqtt_options::{Retain, client_id, last_will, mqtt_options};
use super::retained::Retained;
use super::session::{Ended, Session, own_status};
use super::shared::Shared;
use super::topics::{KeyTopics, Topic};
use crate::backoff::{Backoff, BackoffLimits};
use crate::peer::mesh_key::MeshKeyRing;
use crate::peer::seal::{self, Kind};

/// Messages that wait to be sent to one broker.
const OUTBOX_MESSAGES: usize = 256;
/// Received packets that wait to be taken in; beyond, the broker has to wait.
const INBOX_PACKETS: usize = 64;
/// Connections in a row that ended soon, after which the client id changes: a stranger may use it too, and not every
/// broker says so.
const EVICTIONS_MAX: u32 = 3;
/// How soon a connection ends that may have been taken over.
const EVICTION_WITHIN: Duration = Duration::from_secs(60);
/// How long a leaving agent waits for the broker to take its goodbye.
const GOODBYE_TIMEOUT: Duration = Duration::from_millis(500);

/// The actor of one broker.
pub(super) struct BrokerActor {
    pub(super) index: usize,
    pub(super) broker: Broker,
    pub(super) shared: Arc<Shared>,
    pub(super) keys: watch::Receiver<MeshKeyRing>,
    pub(super) outgoing: watch::Receiver<Outgoing>,
    pub(super) network: watch::Receiver<u64>,
    pub(super) state: watch::Sender<BrokerState>,
    pub(super) cancel: CancellationToken,
    pub(super) retain: Retain,
    /// A broker that sent something oversized is not asked for what it retains: that may come first again, for ever.
    pub(super) backlog: RetainForwardRule,
    pub(super) connected_at: Arc<Mutex<Option<Instant>>>,
}

/// How a connection ended.
enum Outcome {
    Stop,
    Again,
    Failed(BrokerError),
}

impl BrokerActor {
    /// Runs until cancelled.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::new(BackoffLimits::BROKER);
        let mut id = self.new_client_id();
        let mut evictions = 0;
        self.shared.metrics.set_connected(self.index, false);
        loop {
            let outcome = self.connect_once(&id).await;
            let connected_at = self.connected_at.lock().take();
            self.shared.metrics.set_connected(self.index, false);
            match outcome {
                Outcome::Stop => break,
                Outcome::Again => self.disconnected(None),
                Outcome::Failed(error) => {
                    if let Some(at) = connected_at {
                        backoff.succeeded(at);
                        evictions = if at.elapsed() < EVICTION_WITHIN { evictions + 1 } else { 0 };
                    }
                    if evictions >= EVICTIONS_MAX {
                        (id, evictions) = (self.new_client_id(), 0);
                    }
                    self.failed(error, &backoff, connected_at);
                    let wait = backoff.failed(Instant::now());
                    if self.wait(wait).await.is_none() {
                        break;
                    }
                }
            }
        }
        self.shared.metrics.remove_broker(self.index);
    }

    /// Waits before the next try; a changed network or key ends the wait. `None` when cancelled.
    async fn wait(&mut self, wait: Duration) -> Option<()> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => None,
            Ok(()) = self.network.changed() => Some(()),
            Ok(()) = self.keys.changed() => Some(()),
            () = tokio::time::sleep(wait) => Some(()),
        }
    }

    async fn connect_once(&mut self, client_id: &str) -> Outcome {
        let ring = self.keys.borrow_and_update().clone();
        let topics = KeyTopics::of_ring(&ring, self.shared.topic.as_deref());
        let options = match mqtt_options(&self.broker, client_id, self.will(&topics)) {
            Ok(options) => options,
            Err(error) => return Outcome::Failed(error),
        };
        let (client, event_loop) = AsyncClient::builder(options).capacity(OUTBOX_MESSAGES).build();
        let (sender, packets) = mpsc::channel(INBOX_PACKETS);
        let session = self.session(client, ring, topics).run(packets);
        let mut driver = Box::pin(AssertUnwindSafe(drive(event_loop, sender)).catch_unwind());
        tokio::select! {
            biased;
            ended = session => match ended {
                Ended::Left => {
                    let _ = tokio::time::timeout(GOODBYE_TIMEOUT, driver).await;
                    Outcome::Stop
                }
                Ended::KeysChanged => Outcome::Again,
                Ended::Failed(error) => Outcome::Failed(error),
            },
            ended = &mut driver => self.judge(ended),
        }
    }

    fn session(&self, client: AsyncClient, ring: MeshKeyRing, topics: Vec<KeyTopics>) -> Session {
        let (state, url) = (self.state.clone(), self.broker.display_url());
        let (metrics, index, connected_at) = (self.shared.metrics.clone(), self.index, self.connected_at.clone());
        let on_subscribed = Box::new(move || {
            tracing::info!(broker = url, "connected to the MQTT broker");
            metrics.connects("success").inc();
            metrics.set_connected(index, true);
            connected_at.lock().get_or_insert_with(Instant::now);
            state.send_modify(|state| {
                (state.connected, state.error, state.since) = (true, None, SystemTime::now());
            });
        });
        Session {
            shared: self.shared.clone(),
            client,
            inbound: Inbound::new(self.shared.clone(), ring, topics.clone()),
            topics,
            retained: Retained::new(),
            answers: Answers::default(),
            outgoing: self.outgoing.clone(),
            keys: self.keys.clone(),
            cancel: self.cancel.clone(),
            on_subscribed,
            begun: false,
            retain: self.retain,
            backlog: self.backlog.clone(),
        }
    }

    /// A broker that loses us tells the others; only the best key's topic can have the will.
    fn will(&self, topics: &[KeyTopics]) -> Option<LastWill> {
        let topics = topics.first()?;
        let name = topics.name(&Topic::Status(self.shared.site, self.shared.agent.clone()));
        let sealed = seal::seal(&topics.key, Kind::Status, &name, &own_status(&self.shared, false)).ok()?;
        Some(last_will(name, sealed, self.retain))
    }

    fn new_client_id(&self) -> String {
        let ring = self.keys.borrow();
        client_id(ring.keys().first().map_or("wovenet", |key| key.client_id_prefix()))
    }

    fn judge(&mut self, ended: Result<ConnectionError, Box<dyn Any + Send>>) -> Outcome {
        match ended {
            Ok(error) if self.retain == Retain::Available && refuses_retained_will(&error) => {
                self.retain = Retain::Unavailable;
                Outcome::Again
            }
            Ok(error) => {
                if is_oversized(&error) {
                    self.backlog = RetainForwardRule::Never;
                }
                Outcome::Failed(BrokerError::of(&error))
            }
            Err(_panic) => {
                let text = "the MQTT library panicked on what the broker sent";
                Outcome::Failed(BrokerError::new(BrokerErrorClass::Disconnected, text))
            }
        }
    }

    fn failed(&self, error: BrokerError, backoff: &Backoff, connected_at: Option<Instant>) {
        let broker = self.broker.display_url();
        let attempt = backoff.attempt();
        if connected_at.is_some() {
            tracing::warn!(broker, %error, "lost the MQTT broker");
        } else {
            self.shared.metrics.connects(error.class.label()).inc();
            let known = self.state.borrow().error.as_ref().is_some_and(|last| last.class == error.class);
            if known {
                tracing::debug!(broker, attempt, %error, "cannot connect to the MQTT broker");
            } else {
                tracing::warn!(broker, attempt, %error, "cannot connect to the MQTT broker");
            }
        }
        self.disconnected(Some(error));
    }

    fn disconnected(&self, error: Option<BrokerError>) {
        self.state.send_modify(|state| {
            if state.connected {
                (state.connected, state.since) = (false, SystemTime::now());
            }
            state.error = error;
        });
    }
}

/// Polls the library until the connection ends.
async fn drive(mut event_loop: EventLoop, packets: mpsc::Sender<Packet>) -> ConnectionError {
    loop {
        match event_loop.poll().await {
            Ok(Event::Incoming(packet)) => {
                if packets.send(packet).await.is_err() {
                    return ConnectionError::RequestsDone;
                }
            }
            Ok(_) => {}
            Err(error) => return error,
        }
    }
}

fn refuses_retained_will(error: &ConnectionError) -> bool {
    matches!(error, ConnectionError::ConnectionRefused(ConnectReturnCode::RetainNotSupported))
}
