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
        let signed = SignedStatement::from_bytes(&opened.content).map_err(|error| classify_statement(error))?;
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
        self.shared.metrics.updated(Now::current().unix_ms);
    }

    fn status(&self, opened: &Opened, site: SiteId, agent: &AgentId) -> Result<Option<Asked>, Option<DropReason>> {
        let (_, status) = Status::read(&opened.content).map_err(|error| classify_note(error))?;
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
        let (key, hello) = Hello::read(&opened.content).map_err(|error| classify_note(error))?;
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
