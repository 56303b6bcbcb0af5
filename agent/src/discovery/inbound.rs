//! The way of a received message: size, seal, parse, signature, freshness. The parser never sees a stranger's bytes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use wovenet_config::key::SiteId;

use super::answers::Asked;
use super::flood::Flood;
use super::metrics::{Direction, DropReason};
use super::note::{Hello, Note, NoteError, Status};
use super::shared::Shared;
use super::topics::{KeyTopics, Topic};
use crate::peer::directory::{Learning, Now, Source};
use crate::peer::mesh_key::MeshKeyRing;
use crate::peer::seal::{self, Kind, OpenError, Opened};
use crate::peer::site_key::AgentId;
use crate::peer::statement::{SignedStatement, StatementError};

/// Receives the messages of one broker connection.
pub(super) struct Inbound {
    shared: Arc<Shared>,
    ring: MeshKeyRing,
    topics: Vec<KeyTopics>,
    flood: Flood,
}

impl Inbound {
    pub(super) fn new(shared: Arc<Shared>, ring: MeshKeyRing, topics: Vec<KeyTopics>) -> Self {
        Self { shared, ring, topics, flood: Flood::new(Instant::now()) }
    }

    /// Takes a message in. Returns the hello that this agent is the one to answer.
    pub(super) fn receive(&mut self, topic: &str, payload: &[u8]) -> Option<Asked> {
        match self.judge(topic, payload) {
            Ok(asked) => asked,
            Err(reason) => {
                self.drop_message(topic, reason);
                None
            }
        }
    }

    fn judge(&mut self, name: &str, payload: &[u8]) -> Result<Option<Asked>, Option<DropReason>> {
        if payload.is_empty() {
            return Ok(None);
        }
        if !self.flood.may_open(Instant::now()) {
            return Err(Some(DropReason::Rate));
        }
        let topic = self.topics.iter().find_map(|topics| topics.parse(name)).ok_or(DropReason::Malformed)?;
        let opened = seal::open(&self.ring, name, payload).map_err(|error| self.classify(&error))?;
        match (topic, opened.kind) {
            (Topic::Announcement(site, agent), Kind::Announcement) => self.announcement(&opened, Some((site, agent))),
            (Topic::Inbox(_), Kind::Answer) => self.announcement(&opened, None),
            (Topic::Status(site, agent), Kind::Status) => self.status(&opened, site, &agent),
            (Topic::Hello, Kind::Hello) => self.hello(&opened),
            _ => Err(Some(DropReason::Malformed)),
        }
    }

    fn announcement(
        &self,
        opened: &Opened,
        of: Option<(SiteId, AgentId)>,
    ) -> Result<Option<Asked>, Option<DropReason>> {
        let signed = SignedStatement::from_bytes(&opened.content).map_err(classify_statement)?;
        let statement = signed.statement();
        if of.is_some_and(|(site, agent)| (site, &agent) != (statement.site, &statement.agent)) {
            return Err(Some(DropReason::Signature));
        }
        self.shared.metrics.count_message(Direction::Received, opened.kind);
        if statement.site == self.shared.site && statement.agent != self.shared.agent {
            self.shared.own_agents.lock().announced(&statement.agent, statement.generation, Instant::now());
            self.shared.own_agents_changed.notify_one();
        }
        let result = self.shared.peers.learn(&signed, Source::MessageChannel);
        let learning = result.map_err(|refusal| {
            tracing::debug!(site = %statement.name, %refusal, "a remote site's announcement taught nothing");
            DropReason::of(&refusal)
        })?;
        self.learned(&signed, learning);
        Ok(None)
    }

    fn learned(&self, signed: &SignedStatement, learning: Learning) {
        const MESSAGE: &str = "received a remote site's announcement";
        let statement = signed.statement();
        let (site, id, host) = (&statement.name, statement.site, &statement.host);
        match learning {
            Learning::New => tracing::info!(%site, %id, host, endpoints = statement.endpoints.len(), "{MESSAGE}"),
            _ => tracing::debug!(%site, %id, host, sequence = statement.sequence, ?learning, "{MESSAGE}"),
        }
        self.shared.metrics.learned(learning, Now::current().unix_ms);
    }

    fn status(&self, opened: &Opened, site: SiteId, agent: &AgentId) -> Result<Option<Asked>, Option<DropReason>> {
        let (_, status) = Status::read(&opened.content).map_err(classify_note)?;
        if (status.site, &status.agent) != (site, agent) {
            return Err(Some(DropReason::Signature));
        }
        self.shared.metrics.count_message(Direction::Received, Kind::Status);
        if site == self.shared.site {
            self.shared.own_agents.lock().status(agent, status.generation, status.online);
            self.shared.own_agents_changed.notify_one();
        } else {
            self.shared.peers.hint_offline(site, agent, status.generation, !status.online);
        }
        Ok(None)
    }

    fn hello(&self, opened: &Opened) -> Result<Option<Asked>, Option<DropReason>> {
        let (key, hello) = Hello::read(&opened.content).map_err(classify_note)?;
        self.shared.metrics.count_message(Direction::Received, Kind::Hello);
        if hello.site == self.shared.site {
            return Ok(None);
        }
        self.shared.peers.read(|directory| directory.admit(&key)).map_err(|refusal| DropReason::of(&refusal))?;
        let announces = !self.shared.own.borrow().base().endpoints.is_empty();
        let (site, agent) = (self.shared.site, &self.shared.agent);
        let chosen = self.shared.own_agents.lock().is_answerer(site, agent, hello.site, Instant::now());
        let asked = Asked { asker: hello.site, nonce: hello.nonce, key_id: opened.key_id };
        Ok(Some(asked).filter(|_| announces && chosen))
    }

    fn classify(&self, error: &OpenError) -> DropReason {
        match error {
            OpenError::Size => DropReason::Size,
            OpenError::Header => DropReason::Malformed,
            OpenError::Seal => DropReason::Seal,
            OpenError::UnknownKey(key_id) => {
                if self.shared.key_mismatches.fetch_add(1, Ordering::Relaxed) == 0 {
                    tracing::warn!(%key_id, "a site on our topics uses another mesh key, one of us may have a wrong one");
                }
                DropReason::KeyId
            }
        }
    }

    fn drop_message(&mut self, topic: &str, reason: Option<DropReason>) {
        let Some(reason) = reason else { return };
        let garbage = matches!(reason, DropReason::Size | DropReason::KeyId | DropReason::Seal | DropReason::Malformed);
        if garbage && !self.flood.note_garbage() {
            return self.shared.metrics.count_drop(DropReason::Rate);
        }
        self.shared.metrics.count_drop(reason);
        if garbage {
            tracing::debug!(topic, ?reason, "dropped a message that no member sealed");
        }
    }
}

fn classify_statement(error: StatementError) -> DropReason {
    match error {
        StatementError::Signature | StatementError::SiteId => DropReason::Signature,
        StatementError::TooLong | StatementError::CutOff | StatementError::Malformed | StatementError::TooMany => {
            DropReason::Malformed
        }
    }
}

fn classify_note(error: NoteError) -> DropReason {
    match error {
        NoteError::Malformed => DropReason::Malformed,
        NoteError::Signature => DropReason::Signature,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::announcers::OwnAgents;
    use crate::discovery::metrics::DiscoveryMetrics;
    use crate::peer::directory::Directory;
    use crate::peer::own_statement::OwnStatement;
    use crate::peer::peers::Peers;
    use crate::peer::site_key::SiteKey;
    use crate::peer::testing::{endpoint, ring, signed, site_key};
    use wovenet_config::peer::Trust;

    struct Receiver {
        inbound: Inbound,
        shared: Arc<Shared>,
        topics: KeyTopics,
    }

    fn receiver() -> Receiver {
        let (key, name) = (site_key(0), "own".parse().unwrap());
        let directory = Directory::new(key.site_id(), "own".parse().unwrap(), Trust::SharedKey, &[], &[]);
        let own = OwnStatement::new(&key, name, "node-1", 1).with_endpoints(vec![endpoint("192.0.2.1")]);
        let shared = Arc::new(Shared {
            topic: None,
            site: key.site_id(),
            agent: key.agent_id("node-1"),
            site_key: key,
            own: tokio::sync::watch::channel(own).1,
            peers: Peers::new(directory),
            metrics: DiscoveryMetrics::new(&prometheus::Registry::new()).unwrap(),
            own_agents: parking_lot::Mutex::new(OwnAgents::default()),
            own_agents_changed: tokio::sync::Notify::new(),
            key_mismatches: 0.into(),
        });
        let topics = KeyTopics::of_ring(&ring(1, None), None);
        let inbound = Inbound::new(shared.clone(), ring(1, None), topics.clone());
        Receiver { inbound, shared, topics: topics[0].clone() }
    }

    impl Receiver {
        fn topic(&self, key: &SiteKey) -> String {
            self.topics.name(&Topic::Announcement(key.site_id(), key.agent_id("node-1")))
        }

        fn seal(&self, topic: &str, by: &SiteKey) -> Vec<u8> {
            let content = signed(by, "home", "node-1", (5, 1)).to_bytes();
            seal::seal(&self.topics.key, Kind::Announcement, topic, &content).unwrap()
        }

        fn dropped(&self, reason: DropReason) -> u64 {
            self.shared.metrics.dropped_total(reason)
        }

        fn sites(&self) -> usize {
            self.shared.peers.read(|directory| directory.sites().count())
        }
    }

    #[test]
    fn an_announcement_is_learned_once() {
        let mut receiver = receiver();
        let topic = receiver.topic(&site_key(1));
        let envelope = receiver.seal(&topic, &site_key(1));
        receiver.inbound.receive(&topic, &envelope);
        receiver.inbound.receive(&topic, &envelope);
        assert_eq!((receiver.sites(), receiver.dropped(DropReason::Replay)), (1, 1));
    }

    #[test]
    fn an_announcement_copied_to_another_topic_does_not_open() {
        let mut receiver = receiver();
        let envelope = receiver.seal(&receiver.topic(&site_key(1)), &site_key(1));
        let other = receiver.topic(&site_key(2));
        receiver.inbound.receive(&other, &envelope);
        assert_eq!((receiver.sites(), receiver.dropped(DropReason::Seal)), (0, 1));
    }

    #[test]
    fn fault_9_a_member_that_speaks_on_another_sites_topic_is_refused() {
        let mut receiver = receiver();
        let topic = receiver.topic(&site_key(1));
        let envelope = receiver.seal(&topic, &site_key(2));
        receiver.inbound.receive(&topic, &envelope);
        assert_eq!((receiver.sites(), receiver.dropped(DropReason::Signature)), (0, 1));
    }

    #[test]
    fn a_flood_of_garbage_ends_as_a_count() {
        let mut receiver = receiver();
        let topic = receiver.topic(&site_key(1));
        (0..500).for_each(|_| drop(receiver.inbound.receive(&topic, &[7; 574])));
        let envelope = receiver.seal(&topic, &site_key(1));
        receiver.inbound.receive(&topic, &envelope);
        assert!(receiver.dropped(DropReason::Rate) > 0);
        assert_eq!(receiver.sites(), 1, "a member is heard in the flood");
    }

    #[test]
    fn a_hello_is_answered_unless_it_is_our_own_or_denied() {
        let mut receiver = receiver();
        let topic = receiver.topics.name(&Topic::Hello);
        let hello = |key: &SiteKey| {
            let note = Hello { site: key.site_id(), agent: key.agent_id("node-1"), nonce: "n".into() };
            seal::seal(&receiver.topics.key, Kind::Hello, &topic, &note.sign(key)).unwrap()
        };
        let (own, other) = (hello(&site_key(0)), hello(&site_key(1)));
        assert_eq!(receiver.inbound.receive(&topic, &own), None);
        assert_eq!(receiver.inbound.receive(&topic, &other).map(|asked| asked.asker), Some(site_key(1).site_id()));
        receiver.shared.peers.update(|d| d.reconfigure(Trust::SharedKey, &[], &[site_key(1).public()]));
        assert_eq!(receiver.inbound.receive(&topic, &other), None);
    }
}
