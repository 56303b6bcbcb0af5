//! One connection to one broker, from CONNACK to its end: subscribe, say hello, announce, answer.

use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::rand;
use bytes::Bytes;
use rumqttc::{
    AsyncClient, Packet, PublishOptions, PublishProperties, QoS, RetainForwardRule, SubscribeFilterInput,
    SubscribeReasonCode,
};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use wovenet_config::key::base32;

use super::announcing::Outgoing;
use super::answers::{Answers, Asked};
use super::broker_state::{BrokerError, BrokerErrorClass};
use super::inbound::Inbound;
use super::metrics::Direction;
use super::mqtt_options::{KEEP_ALIVE, Retain};
use super::note::{Hello, Note, Status};
use super::retained::Retained;
use super::shared::Shared;
use super::topics::{KeyTopics, Topic};
use crate::peer::mesh_key::MeshKeyRing;
use crate::peer::seal::{self, Kind};
use crate::peer::statement::TTL_SECONDS;

/// A connection without any packet from the broker for this long is given up.
const SILENCE_MAX: Duration = Duration::from_millis(KEEP_ALIVE.as_millis() as u64 * 5 / 2);
/// How long a leaving agent waits for the broker to take its offline hint.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);
const NONCE_BYTES: usize = 16;

/// Why a session ended by itself.
#[derive(Debug)]
pub(super) enum Ended {
    /// The agent stops; the goodbye is on its way.
    Left,
    /// The mesh keys changed: other topics, another will.
    KeysChanged,
    /// The broker is of no use.
    Failed(BrokerError),
}

/// The state of one connection.
pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) client: AsyncClient,
    pub(super) topics: Vec<KeyTopics>,
    pub(super) inbound: Inbound,
    pub(super) retained: Retained,
    pub(super) answers: Answers,
    pub(super) outgoing: watch::Receiver<Outgoing>,
    pub(super) keys: watch::Receiver<MeshKeyRing>,
    pub(super) cancel: CancellationToken,
    pub(super) on_subscribed: Box<dyn FnMut() + Send>,
    pub(super) begun: bool,
    pub(super) retain: Retain,
    pub(super) backlog: RetainForwardRule,
}

impl Session {
    /// Runs until the agent stops, the keys change, or the broker fails.
    pub(super) async fn run(mut self, mut packets: mpsc::Receiver<Packet>) -> Ended {
        loop {
            let due = self.due();
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => return self.leave().await,
                Ok(()) = self.keys.changed() => return Ended::KeysChanged,
                Ok(()) = self.outgoing.changed(), if self.begun => self.announce(),
                () = sleep_until(due) => self.work_off(),
                received = tokio::time::timeout(SILENCE_MAX, packets.recv()) => match received {
                    Ok(Some(packet)) => if let Some(error) = self.take(&packet) { return Ended::Failed(error) },
                    Ok(None) => pending().await,
                    Err(_) => return Ended::Failed(silent()),
                },
            }
        }
    }

    fn take(&mut self, packet: &Packet) -> Option<BrokerError> {
        match packet {
            Packet::ConnAck(ack) => {
                if ack.properties.as_ref().and_then(|properties| properties.retain_available) == Some(0) {
                    self.retain = Retain::Unavailable;
                }
                self.subscribe();
            }
            Packet::SubAck(ack) => {
                let refused = ack.return_codes.iter().any(|code| !matches!(code, SubscribeReasonCode::Success(_)));
                if refused {
                    return Some(BrokerError::new(BrokerErrorClass::Auth, "the broker refuses our topics"));
                }
                self.begin();
            }
            Packet::Publish(publish) => {
                let topic = std::str::from_utf8(&publish.topic).unwrap_or_default();
                self.retained.heard(topic, &publish.payload, publish.retain, Instant::now());
                if let Some(asked) = self.inbound.receive(topic, &publish.payload) {
                    self.answers.schedule(asked, Instant::now(), rand_fraction());
                }
            }
            _ => {}
        }
        None
    }

    fn subscribe(&mut self) {
        let site = self.shared.site;
        let mut filters: Vec<String> = self.topics.iter().flat_map(|topics| topics.filters(site)).collect();
        filters.sort_unstable();
        filters.dedup();
        let subscribe = |filter| {
            let input = SubscribeFilterInput::new(filter, QoS::AtLeastOnce);
            input.preserve_retain(true).retain_forward_rule(self.backlog.clone())
        };
        if let Err(error) = self.client.try_subscribe_many(filters.into_iter().map(subscribe)) {
            tracing::warn!(%error, "cannot queue the subscriptions");
        }
    }

    /// Speaks only once it can hear the answers: the library may send messages before subscriptions.
    fn begin(&mut self) {
        self.begun = true;
        (self.on_subscribed)();
        self.say_hello();
        self.announce();
    }

    fn say_hello(&mut self) {
        let mut nonce = [0u8; NONCE_BYTES];
        if rand::fill(&mut nonce).is_err() {
            return;
        }
        let (site, agent) = (self.shared.site, self.shared.agent.clone());
        let content = Hello { site, agent, nonce: base32().encode(&nonce) }.sign(&self.shared.site_key);
        for topics in self.topics.clone() {
            self.publish(&topics, &Topic::Hello, Kind::Hello, &content, false);
        }
    }

    /// Publishes the present announcement and the online hint, or takes them back.
    fn announce(&mut self) {
        let outgoing = self.outgoing.borrow_and_update().clone();
        let (site, agent) = (self.shared.site, self.shared.agent.clone());
        let announcement = Topic::Announcement(site, agent.clone());
        let status = Topic::Status(site, agent);
        for topics in self.topics.clone() {
            match &outgoing {
                Outgoing::Announce(signed) => {
                    let content = signed.to_bytes();
                    self.publish(&topics, &announcement, Kind::Announcement, &content, topics.retains);
                    self.publish(&topics, &status, Kind::Status, &self.status(true), topics.retains);
                }
                Outgoing::Silent if topics.retains => self.expect_nothing(&topics, &announcement),
                Outgoing::Silent => {}
            }
        }
    }

    fn expect_nothing(&mut self, topics: &KeyTopics, topic: &Topic) {
        let name = topics.name(topic);
        self.retained.published(&name, Bytes::new());
        self.send(name, Bytes::new(), true);
    }

    fn status(&self, online: bool) -> Vec<u8> {
        own_status(&self.shared, online)
    }

    fn due(&self) -> Option<Instant> {
        [self.retained.due(), self.answers.due()].into_iter().flatten().min()
    }

    fn work_off(&mut self) {
        let now = Instant::now();
        if self.retained.due().is_some_and(|due| due <= now) {
            tracing::debug!("our retained announcement was cleared or replaced, publishing it again");
            self.retained.restored();
            self.announce();
        }
        for asked in self.answers.take_due(now) {
            self.answer(&asked);
        }
    }

    fn answer(&mut self, asked: &Asked) {
        let own = self.shared.own.borrow().clone();
        let signed = match own.sign(&self.shared.site_key, Some(asked.nonce.clone())) {
            Ok(signed) => signed,
            Err(error) => return tracing::warn!(%error, "our statement cannot be made"),
        };
        let topics = self.topics.iter().find(|topics| topics.key.id() == asked.key_id).cloned();
        if let Some(topics) = topics {
            self.publish(&topics, &Topic::Inbox(asked.asker), Kind::Answer, &signed.to_bytes(), false);
        }
    }

    fn publish(&mut self, topics: &KeyTopics, topic: &Topic, kind: Kind, content: &[u8], retain: bool) {
        let name = topics.name(topic);
        match seal::seal(&topics.key, kind, &name, content).map(Bytes::from) {
            Ok(payload) => {
                if retain {
                    self.retained.published(&name, payload.clone());
                }
                self.shared.metrics.count_message(Direction::Sent, kind);
                self.send(name, payload, retain);
            }
            Err(error) => tracing::warn!(%error, ?kind, "cannot seal a message"),
        }
    }

    fn send(&self, topic: String, payload: Bytes, retain: bool) {
        let retain = retain && self.retain == Retain::Available;
        if payload.is_empty() && !retain {
            return;
        }
        if let Err(error) = self.client.try_publish(topic, payload, publish_options(retain)) {
            tracing::warn!(%error, "cannot queue a message for the broker");
        }
    }

    /// Says goodbye. The announcement stays, so that peers that come back know where to dial.
    async fn leave(&mut self) -> Ended {
        let topic = Topic::Status(self.shared.site, self.shared.agent.clone());
        let content = self.status(false);
        let announced = self.begun && matches!(*self.outgoing.borrow(), Outgoing::Announce(_));
        for topics in self.topics.iter().filter(|topics| announced && topics.retains) {
            let name = topics.name(&topic);
            let Ok(payload) = seal::seal(&topics.key, Kind::Status, &name, &content) else { continue };
            if let Ok(notice) =
                self.client.try_publish_tracked(name, payload, publish_options(self.retain == Retain::Available))
            {
                let _ = tokio::time::timeout(LEAVE_TIMEOUT, notice.wait_async()).await;
            }
        }
        let _ = self.client.try_disconnect();
        Ended::Left
    }
}

/// Returns the signed hint that this agent is online or not.
pub(super) fn own_status(shared: &Shared, online: bool) -> Vec<u8> {
    let generation = shared.own.borrow().base().generation;
    Status { site: shared.site, agent: shared.agent.clone(), generation, online }.sign(&shared.site_key)
}

fn publish_options(retain: bool) -> PublishOptions {
    let properties = PublishProperties { message_expiry_interval: Some(TTL_SECONDS), ..PublishProperties::default() };
    PublishOptions::at_least_once().retain(retain).properties(properties)
}

fn silent() -> BrokerError {
    BrokerError::new(BrokerErrorClass::Disconnected, "the broker says nothing any more")
}

fn rand_fraction() -> f64 {
    ::rand::random()
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => pending().await,
    }
}
