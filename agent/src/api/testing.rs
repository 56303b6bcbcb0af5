//! A fake agent, and a client that speaks HTTP byte by byte.

mod http;
mod scene;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::watch;
use wovenet_config::Document;
use wovenet_config::api::Api;
use wovenet_config::secret::SecretText;

use super::agent::{Agent, Applied, ApplyError, Origin, Status};
use super::limits::Limits;
use super::server::ApiServer;
use crate::peer::site_key::SiteKey;

pub(crate) use http::{Answer, ELSEWHERE, HERE, ask, ask_on, assert_closed_unserved, client, get, read_answer};
pub(crate) use scene::status;

/// A file that a person could write, with a secret of each kind.
pub(crate) const DOCUMENT: &str = "
siteName: home
crypto: { key: s3cret-mesh-key-of-home }
messageChannel: { protocol: mqtt, mqtt: { brokerServer: 'mqtts://home:s3cret-broker@broker.example.org', topic: woven } }
localExposedApps:
  - { appName: web, mode: single, appSocket: 'tcp:127.0.0.1:80', allowedSites: [office] }
  - { appName: vnc, mode: range, portRange: ['5900-5990'], addressRange: [10.0.2.0/24], allowedSites: ['*'] }
remoteApps:
  - { siteName: office, appName: ssh, localSocket: 'tcp:127.0.0.1:2222' }
  - { siteName: office, appName: desk, localSocket: 'tcp:127.0.0.1:5901', appSocket: 'tcp:10.1.1.1:5901' }
restfulApi: { auth: { basicAuth: [{ user: ann, password: s3cret-password }], bearerTokens: [s3cret-token-of-ann] } }
";

/// What the fake agent knows of peers.
pub(crate) const KNOWN_PEERS: &str = r#"{"version":1,"pins":{},"statements":[]}"#;

/// An agent that only remembers. Clones share what they remember.
#[derive(Clone)]
pub(crate) struct FakeAgent(Arc<Memory>);

pub(crate) struct Memory {
    pub document: Mutex<Arc<Document>>,
    pub status: Mutex<Status>,
    pub origins: Mutex<Vec<Origin>>,
    pub changes: watch::Sender<u64>,
    pub ready: AtomicBool,
}

impl std::ops::Deref for FakeAgent {
    type Target = Memory;
    fn deref(&self) -> &Memory {
        &self.0
    }
}

impl FakeAgent {
    pub fn new(document: &str) -> Self {
        Self(Arc::new(Memory {
            document: Mutex::new(Arc::new(Document::read(document.as_bytes()).expect("document"))),
            status: Mutex::new(status()),
            origins: Mutex::default(),
            changes: watch::Sender::new(1),
            ready: AtomicBool::new(true),
        }))
    }

    /// Tells that something changed.
    pub fn change(&self) {
        self.changes.send_modify(|version| *version += 1);
    }
}

impl Agent for FakeAgent {
    fn document(&self) -> Arc<Document> {
        self.document.lock().clone()
    }

    fn apply(&self, document: Document, origin: Origin) -> BoxFuture<'static, Result<Applied, ApplyError>> {
        let agent = self.clone();
        Box::pin(async move {
            wovenet_config::validate(&document).map_err(ApplyError::Invalid)?;
            let (current, offered) = (agent.document().revision.unwrap_or(0), document.revision.unwrap_or(0));
            if offered < current {
                return Err(ApplyError::Outdated { current, offered });
            }
            // Gives another change the chance to come in between.
            tokio::task::yield_now().await;
            *agent.document.lock() = Arc::new(document);
            agent.origins.lock().push(origin);
            agent.change();
            Ok(Applied { revision: offered, listeners: Vec::new(), warnings: Vec::new() })
        })
    }

    fn status(&self) -> Status {
        self.status.lock().clone()
    }

    fn known_peers(&self) -> Vec<u8> {
        KNOWN_PEERS.as_bytes().to_vec()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }
}

/// Settings of an API on a free port of this host, without credentials.
pub(crate) fn open() -> Api {
    Api {
        listen: ([127, 0, 0, 1], 0).into(),
        log_file: None,
        tls: None,
        users: Vec::new(),
        tokens: Vec::new(),
        operator_key: None,
    }
}

/// The same with a user and a token.
pub(crate) fn closed() -> Api {
    Api {
        users: vec![("bob".into(), SecretText::new("other")), ("ann".into(), SecretText::new("s3cret-password"))],
        tokens: vec![SecretText::new("s3cret-token-of-ann")],
        ..open()
    }
}

/// Starts the API in front of `agent`.
pub(crate) async fn start(config: &Api, agent: &FakeAgent) -> ApiServer {
    ApiServer::start(config, Arc::new(agent.clone()), None).await.expect("the API starts")
}

/// Starts it with other limits and the site's API key.
pub(super) async fn start_within(config: &Api, agent: &FakeAgent, key: Option<&SiteKey>, limits: Limits) -> ApiServer {
    ApiServer::start_within(config, Arc::new(agent.clone()), key, limits).await.expect("the API starts")
}
