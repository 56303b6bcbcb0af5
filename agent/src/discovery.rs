//! How sites find each other: sealed announcements over MQTT brokers (docs/protocol.md §3). Whatever is read here is a hint; it
//! goes into the [`Peers`] directory and nowhere else.

pub mod addresses;
pub mod announcers;
pub mod detect;
pub mod metrics;
pub mod network;

mod announcing;
mod answers;
mod broker;
mod broker_state;
mod flood;
mod inbound;
mod mqtt_options;
mod note;
mod retained;
mod session;
mod shared;
mod topics;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rumqttc::RetainForwardRule;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use wovenet_config::message_channel::Mqtt;

use crate::peer::mesh_key::MeshKeyRing;
use crate::peer::own_statement::OwnStatement;
use crate::peer::peers::Peers;
use crate::peer::site_key::SiteKey;

pub use broker_state::{BrokerError, BrokerErrorClass, BrokerState};
pub use metrics::{DiscoveryMetrics, DropReason};

use announcers::OwnAgents;
use announcing::{Announcing, Outgoing};
use broker::BrokerActor;
use mqtt_options::Retain;
use shared::Shared;

/// How long a stopping agent waits for all brokers to take its goodbye.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// What discovery needs.
pub struct DiscoverySettings {
    /// The brokers and the topic.
    pub mqtt: Mqtt,
    /// The mesh keys; a change moves to other topics.
    pub keys: watch::Receiver<MeshKeyRing>,
    /// The key that signs.
    pub site_key: SiteKey,
    /// What to announce; without endpoints nothing is.
    pub own: watch::Receiver<OwnStatement>,
    /// Where to put what is learned.
    pub peers: Peers,
    /// Moves with each change of the network, which makes a retry worthwhile.
    pub network: watch::Receiver<u64>,
    /// The metrics.
    pub metrics: DiscoveryMetrics,
}

/// Running discovery. Dropping it stops it without a goodbye.
#[derive(Debug)]
pub struct Discovery {
    shared: Arc<Shared>,
    brokers: Vec<watch::Receiver<BrokerState>>,
    tasks: JoinSet<()>,
    cancel: CancellationToken,
}

impl Discovery {
    /// Starts an actor for each broker and their coordinator.
    pub fn start(settings: DiscoverySettings) -> Self {
        let DiscoverySettings { mqtt, keys, site_key, own, peers, network, metrics } = settings;
        let agent = own.borrow().base().agent.clone();
        tracing::info!(site = %own.borrow().base().name, id = %site_key.site_id(), %agent, "new local site");
        let shared = Arc::new(Shared {
            topic: mqtt.topic,
            site: site_key.site_id(),
            site_key,
            agent,
            own,
            peers,
            metrics,
            own_agents: parking_lot::Mutex::new(OwnAgents::default()),
            own_agents_changed: Notify::new(),
            key_mismatches: AtomicU64::new(0),
        });
        let (cancel, mut tasks) = (CancellationToken::new(), JoinSet::new());
        let outgoing = watch::Sender::new(Outgoing::Silent);
        let mut brokers = Vec::new();
        for (index, broker) in mqtt.brokers.into_iter().enumerate() {
            let state = watch::Sender::new(initial_state(broker.display_url()));
            brokers.push(state.subscribe());
            let (shared, keys, outgoing) = (shared.clone(), keys.clone(), outgoing.subscribe());
            let actor = BrokerActor {
                index,
                broker,
                shared,
                keys,
                outgoing,
                network: network.clone(),
                state,
                cancel: cancel.clone(),
                retain: Retain::Available,
                backlog: RetainForwardRule::OnEverySubscribe,
                connected_at: Arc::default(),
            };
            tasks.spawn(actor.run());
        }
        tasks.spawn(Announcing { shared: shared.clone(), outgoing, cancel: cancel.clone() }.run());
        Self { shared, brokers, tasks, cancel }
    }

    /// Returns the state of each broker, in the order of the configuration.
    pub fn brokers(&self) -> &[watch::Receiver<BrokerState>] {
        &self.brokers
    }

    /// Returns how many messages on our topics were sealed with a key that we do not have (`KeyMismatch`).
    pub fn key_mismatches(&self) -> u64 {
        self.shared.key_mismatches.load(Ordering::Relaxed)
    }

    /// Says offline, disconnects, and ends within [`SHUTDOWN_TIMEOUT`]. What is announced stays with the brokers.
    pub async fn shutdown(mut self) {
        self.cancel.cancel();
        let all = async {
            while let Some(ended) = self.tasks.join_next().await {
                if let Err(error) = ended {
                    tracing::error!(%error, "a task of discovery failed");
                }
            }
        };
        if tokio::time::timeout(SHUTDOWN_TIMEOUT, all).await.is_err() {
            tracing::debug!("a broker did not take our goodbye in time");
        }
    }
}

fn initial_state(url: String) -> BrokerState {
    BrokerState { url, connected: false, error: None, since: SystemTime::now() }
}
