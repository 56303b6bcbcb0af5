//! One task for each agent: pushes every new revision, and follows the agent's status by long poll.

mod request;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use wovenet_config::key::PublicKey;
use wovenet_identity::SiteKey;

use crate::agent_report::{Heard, Report};
use crate::known_peers::KnownPeers;

pub use request::{Door, RequestError};

/// How long an agent may keep a poll waiting.
const POLL_WAIT: Duration = Duration::from_secs(5);
/// The first pause after a request that failed.
const RETRY_MIN: Duration = Duration::from_millis(250);
/// The longest such pause: below the time after which an agent counts as silent.
const RETRY_MAX: Duration = Duration::from_secs(4);

/// An agent that still tells of an older revision so long after it took one gets it again: it may have begun anew.
const PUSH_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// How often an agent is asked what it knows of other sites.
const PEERS_EVERY: Duration = Duration::from_secs(15);

/// An agent, as its pod tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Where its API listens.
    pub address: SocketAddr,
    /// The key of its site, which it must have.
    pub site_key: PublicKey,
    /// The revision that it must have.
    pub revision: u64,
    /// The document of that revision.
    pub document: Arc<Vec<u8>>,
}

/// The tasks of all agents, by the uid of their pod.
pub struct Agents {
    key: SiteKey,
    tasks: BTreeMap<String, Following>,
    running: JoinSet<()>,
    heard: Arc<Mutex<BTreeMap<String, Heard>>>,
    changes: watch::Sender<u64>,
}

struct Following {
    agent: watch::Sender<Agent>,
    cancel: CancellationToken,
}

impl Agents {
    /// Follows no agent yet. `key` is the operator's.
    pub fn new(key: SiteKey, changes: watch::Sender<u64>) -> Self {
        Self { key, tasks: BTreeMap::new(), running: JoinSet::new(), heard: Arc::default(), changes }
    }

    /// Returns what was heard of each agent.
    pub fn heard(&self) -> BTreeMap<String, Heard> {
        self.heard.lock().clone()
    }

    /// Follows exactly these agents.
    pub fn follow(&mut self, agents: BTreeMap<String, Agent>) {
        while let Some(ended) = self.running.try_join_next() {
            // A panic was told by the hook. Whose it was is not known: all are followed anew.
            if ended.is_err() {
                self.tasks.values().for_each(|task| task.cancel.cancel());
                self.tasks.clear();
            }
        }
        self.tasks.retain(|uid, task| {
            agents.contains_key(uid) || {
                task.cancel.cancel();
                false
            }
        });
        self.heard.lock().retain(|uid, _| agents.contains_key(uid));
        for (uid, agent) in agents {
            match self.tasks.get(&uid) {
                Some(task) => {
                    task.agent.send_if_modified(|known| {
                        let differs = *known != agent;
                        *known = agent;
                        differs
                    });
                }
                None => self.start(uid, agent),
            }
        }
    }

    fn start(&mut self, uid: String, agent: Agent) {
        self.heard.lock().insert(uid.clone(), Heard::nothing(Instant::now()));
        let (agent, seen) = watch::channel(agent);
        let cancel = CancellationToken::new();
        let follower = Follower {
            uid: uid.clone(),
            key: self.key.clone(),
            agent: seen,
            heard: self.heard.clone(),
            changes: self.changes.clone(),
        };
        let stop = cancel.clone();
        self.running.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = follower.run() => {}
            }
        });
        self.tasks.insert(uid, Following { agent, cancel });
    }
}

/// Follows one agent.
struct Follower {
    uid: String,
    key: SiteKey,
    agent: watch::Receiver<Agent>,
    heard: Arc<Mutex<BTreeMap<String, Heard>>>,
    changes: watch::Sender<u64>,
}

impl Follower {
    async fn run(self) {
        tokio::join!(self.push_all(), self.poll(), self.ask_peers());
    }

    /// Pushes each revision, and again while the agent tells of an older one; the agent itself refuses an older one.
    async fn push_all(&self) {
        let mut agent = self.agent.clone();
        let mut pause = RETRY_MIN;
        loop {
            let wanted = agent.borrow_and_update().clone();
            match self.door(&wanted).put_config(&wanted.document).await {
                Ok(()) => {
                    pause = RETRY_MIN;
                    self.note_refusal(None);
                }
                // A newer one is in force, which another operator pushed: the Secret will tell.
                Err(RequestError::Conflict(_)) => pause = RETRY_MIN,
                Err(error) => {
                    self.note_error(&error);
                    if let RequestError::Refused(..) = &error {
                        self.note_refusal(Some(error.to_string()));
                    }
                    sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
                    pause = (pause * 2).min(RETRY_MAX);
                    continue;
                }
            }
            tokio::select! {
                changed = agent.changed() => if changed.is_err() { return },
                () = self.lags(wanted.revision) => {}
            }
        }
    }

    /// Ends when the agent tells of a revision below this one.
    async fn lags(&self, revision: u64) {
        loop {
            sleep(PUSH_AGAIN_AFTER).await;
            let heard = self.heard.lock();
            let report = heard.get(&self.uid).and_then(|heard| heard.report.as_ref());
            if report.is_some_and(|report| report.revision < revision) {
                return;
            }
        }
    }

    async fn poll(&self) {
        let (mut etag, mut pause) = (None, RETRY_MIN);
        loop {
            let agent = self.agent.borrow().clone();
            match self.door(&agent).status(etag.as_deref(), POLL_WAIT).await {
                Ok(answer) => {
                    pause = RETRY_MIN;
                    if let Some((report, tag)) = answer {
                        etag = tag;
                        self.note(Some(Arc::new(report)));
                    } else {
                        self.note(None);
                    }
                }
                Err(error) => {
                    self.note_error(&error);
                    etag = None;
                    sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
                    pause = (pause * 2).min(RETRY_MAX);
                }
            }
        }
    }

    /// Asks again and again what the agent knows of other sites. One of the version before does not tell.
    async fn ask_peers(&self) {
        let mut last = None;
        loop {
            let agent = self.agent.borrow().clone();
            match self.door(&agent).peers().await {
                Ok(told) if last.as_ref() == Some(&told) => {}
                Ok(told) => {
                    self.note_peers(&told);
                    last = Some(told);
                }
                Err(error) => tracing::debug!(agent = %agent.address, %error, "cannot ask an agent for its peers"),
            }
            sleep(PEERS_EVERY.mul_f64(rand::random_range(0.8..1.2))).await;
        }
    }

    fn note_peers(&self, told: &[u8]) {
        let Some(peers) = KnownPeers::parse(told) else {
            return tracing::warn!(agent = %self.agent.borrow().address, "an agent told its peers in an unknown form");
        };
        if let Some(heard) = self.heard.lock().get_mut(&self.uid) {
            heard.peers = Some(Arc::new(peers));
        }
    }

    fn door(&self, agent: &Agent) -> Door {
        Door { address: agent.address, site_key: agent.site_key, operator: self.key.clone() }
    }

    /// Notes that the agent was heard, with a new report or that nothing changed.
    fn note(&self, report: Option<Arc<Report>>) {
        let mut all = self.heard.lock();
        let Some(heard) = all.get_mut(&self.uid) else { return };
        let was_alive = heard.is_alive(Instant::now());
        let changed = report.is_some() && heard.report != report;
        heard.at = Instant::now();
        heard.error = None;
        if report.is_some() {
            heard.report = report;
        }
        drop(all);
        if changed || !was_alive {
            self.changes.send_modify(|count| *count += 1);
        }
    }

    /// Notes whether the agent takes what it is told to be.
    fn note_refusal(&self, refusal: Option<String>) {
        let mut all = self.heard.lock();
        let Some(heard) = all.get_mut(&self.uid).filter(|heard| heard.refusal != refusal) else { return };
        if let Some(refusal) = &refusal {
            tracing::warn!(agent = %self.agent.borrow().address, refusal, "an agent refuses its configuration");
        }
        heard.refusal = refusal;
        drop(all);
        self.changes.send_modify(|count| *count += 1);
    }

    fn note_error(&self, error: &RequestError) {
        let mut all = self.heard.lock();
        let Some(heard) = all.get_mut(&self.uid) else { return };
        let text = error.to_string();
        if heard.error.as_ref() != Some(&text) {
            tracing::debug!(agent = %self.agent.borrow().address, error = text, "cannot reach an agent");
            heard.error = Some(text);
        }
    }
}
