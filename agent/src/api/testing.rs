//! A fake agent, and a client that speaks HTTP byte by byte.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use wovenet_config::Document;
use wovenet_config::api::Api;
use wovenet_config::secret::SecretText;

use super::agent::{
    Agent, AppTraffic, Applied, ApplyError, BrokerStatus, ListenerStatus, Origin, Status, TunnelSocketStatus,
};
use super::limits::Limits;
use super::server::ApiServer;
use crate::peer::site_key::SiteKey;
use crate::tunnel::status::{AppStatus, ChannelStatus, EndpointStatus, SiteState, SiteStatus};

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

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }
}

/// An agent with one connected site, one that is away, and something of everything.
pub(crate) fn status() -> Status {
    Status {
        version: "0.1.0",
        site_name: "home".into(),
        site_id: "h".repeat(26),
        public_key: "wvp1_home".into(),
        agent: "aaaa".repeat(6),
        revision: 0,
        ready: true,
        draining: false,
        endpoints: vec!["192.0.2.1:51820".into()],
        tunnel_sockets: vec![TunnelSocketStatus {
            listen: "0.0.0.0:51820".into(),
            bound: Some("0.0.0.0:51820".into()),
            error: None,
        }],
        brokers: vec![BrokerStatus {
            url: "mqtts://broker.example.org".into(),
            connected: false,
            error: Some("connection refused".into()),
        }],
        sites: vec![office(), away()],
        listeners: listeners(),
        traffic: vec![AppTraffic {
            app: "office/ssh".into(),
            role: "remote",
            streams: 2,
            received_bytes: 3 << 30,
            sent_bytes: 1_536,
        }],
        mesh_keys: vec!["abcd".into()],
        warnings: vec!["every site of the mesh may use \"web\"".into()],
    }
}

fn office() -> SiteStatus {
    SiteStatus {
        site_name: "office".into(),
        site_id: "o".repeat(26),
        public_key: "wvp1_office".into(),
        state: SiteState::Connected,
        error: None,
        endpoints: vec![EndpointStatus {
            agent: "bbbb".repeat(6),
            address: "203.0.113.7".into(),
            port: 51820,
            dynamic: true,
        }],
        channels: vec![ChannelStatus {
            id: 7,
            agent: "bbbb".repeat(6),
            remote_address: "203.0.113.7:51820".into(),
            dialled: true,
            state: "good",
            round_trip_ms: 12.34,
            loss: 0.0021,
            streams: 2,
            sent_bytes: 5 << 20,
            received_bytes: 999,
            up_seconds: 93_784,
            mesh_keys: vec!["abcd".into()],
        }],
        apps: vec![AppStatus {
            app_name: "ssh".into(),
            ports: Vec::new(),
            protocol: "tcp".into(),
            range: false,
            healthy: true,
        }],
    }
}

fn away() -> SiteStatus {
    SiteStatus {
        site_name: "attic".into(),
        site_id: "t".repeat(26),
        state: SiteState::Connecting,
        error: Some("timed out".into()),
        endpoints: Vec::new(),
        channels: Vec::new(),
        apps: Vec::new(),
        ..office()
    }
}

fn listeners() -> Vec<ListenerStatus> {
    let bound = ListenerStatus {
        app: "office/ssh".into(),
        local_socket: "tcp:127.0.0.1:2222".into(),
        bound: Some("127.0.0.1:2222".into()),
        state: "listening",
        error: None,
        provider_state: "available",
    };
    let failed = ListenerStatus {
        app: "attic/desk".into(),
        local_socket: "tcp:127.0.0.1:5901".into(),
        bound: None,
        state: "failed",
        error: Some("address in use".into()),
        provider_state: "noPath",
    };
    vec![bound, failed]
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

/// An answer, taken apart.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// Returns a header's value, empty when it is absent.
    pub fn header(&self, name: &str) -> String {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).unwrap_or_default()
    }

    /// Returns the body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Sends `METHOD PATH` with further header lines and a body, and reads the answer.
pub(crate) async fn ask(address: SocketAddr, line: &str, headers: &[&str], body: &str) -> Answer {
    ask_on(TcpStream::connect(address).await.expect("connect"), line, headers, body).await
}

/// The same without headers and body.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, &format!("GET {path}"), &[], "").await
}

/// The same on a connection that exists. A `Host` among the headers replaces the usual one.
pub(crate) async fn ask_on<S>(mut stream: S, line: &str, headers: &[&str], body: &str) -> Answer
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let host = if headers.iter().any(|header| header.starts_with("Host:")) { "" } else { "Host: localhost\r\n" };
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let length = body.len();
    let request =
        format!("{line} HTTP/1.1\r\n{host}Connection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}");
    stream.write_all(request.as_bytes()).await.expect("send");
    read_answer(&mut stream).await
}

/// Reads to the end of the connection.
pub(crate) async fn read_answer<S: AsyncRead + Unpin>(stream: &mut S) -> Answer {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("answer");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}
