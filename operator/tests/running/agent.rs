//! An agent in this process, as the operator sees one: it takes every configuration, listens at once, and has a channel to
//! every provider.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use wovenet_config::Document;
use wovenet_identity::{OPERATOR_ALPN, SiteKey, tls};
use wovenet_operator::names;

/// The agent. Clones are the same one.
#[derive(Clone)]
pub(crate) struct FakeAgent {
    pub(crate) address: IpAddr,
    document: Arc<Mutex<Document>>,
    peers: Arc<Mutex<Vec<u8>>>,
    provider_state: Arc<Mutex<&'static str>>,
    revision: watch::Sender<u64>,
    /// Moves with each change of the status.
    version: watch::Sender<u64>,
    silent: watch::Sender<bool>,
}

impl FakeAgent {
    /// Serves at a loopback address of its own, as its port is given.
    pub(crate) async fn start(site: &SiteKey) -> Self {
        let (address, listener) = loop {
            let [a, b, c] = std::array::from_fn(|_| rand::random_range(2..254));
            let address = Ipv4Addr::new(127, a, b, c);
            if let Ok(listener) = TcpListener::bind((address, names::API_PORT)).await {
                break (address, listener);
            }
        };
        let agent = Self {
            address: address.into(),
            document: Arc::default(),
            peers: Arc::new(Mutex::new(br#"{"version":1}"#.to_vec())),
            provider_state: Arc::new(Mutex::new("available")),
            revision: watch::Sender::new(0),
            version: watch::Sender::new(0),
            silent: watch::Sender::new(false),
        };
        let mut config = tls::server_config(site, Arc::new(|_| true)).unwrap();
        config.alpn_protocols = vec![OPERATOR_ALPN.to_vec()];
        let (acceptor, serving) = (TlsAcceptor::from(Arc::new(config)), agent.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, agent) = (acceptor.clone(), serving.clone());
                tokio::spawn(async move {
                    let stream = acceptor.accept(stream).await.ok()?;
                    let answer = service_fn(move |request| agent.clone().answer(request));
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await.ok()
                });
            }
        });
        agent
    }

    /// The newest revision that was pushed.
    pub(crate) fn revision(&self) -> u64 {
        *self.revision.borrow()
    }

    /// Begins anew with a configuration of an older revision, as one that finds only an old Secret.
    pub(crate) fn falls_back_to(&self, revision: u64) {
        self.revision.send_replace(revision);
        self.version.send_modify(|version| *version += 1);
    }

    /// Loses its last channel to every provider, or has one again.
    pub(crate) fn has_path(&self, has: bool) {
        *self.provider_state.lock() = if has { "available" } else { "noPath" };
        self.version.send_modify(|version| *version += 1);
    }

    /// Answers no request any more.
    pub(crate) fn falls_silent(&self) {
        self.silent.send_replace(true);
    }

    /// The configuration in force.
    pub(crate) fn document(&self) -> Document {
        self.document.lock().clone()
    }

    /// The local sockets of the configuration in force.
    pub(crate) fn local_sockets(&self) -> Vec<String> {
        self.document.lock().remote_apps.iter().filter_map(|app| app.local_socket.clone()).collect()
    }

    pub(crate) fn knows(&self, peers: Vec<u8>) {
        *self.peers.lock() = peers;
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        if *self.silent.borrow() {
            std::future::pending::<()>().await;
        }
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let (tag, answer) = match (method, uri.path()) {
            (Method::PUT, _) => {
                let document = Document::read(&body).unwrap();
                let revision = document.revision.unwrap();
                *self.document.lock() = document;
                self.revision.send_replace(revision);
                self.version.send_modify(|version| *version += 1);
                (0, b"{}".to_vec())
            }
            (_, "/api/v1/peers") => (0, self.peers.lock().clone()),
            _ => {
                let after = uri.query().and_then(|query| query.split(['=', '&']).nth(1)?.parse().ok());
                let wait = std::time::Duration::from_secs(1);
                tokio::time::timeout(wait, self.version.subscribe().wait_for(|now| Some(*now) != after)).await.ok();
                if *self.silent.borrow() {
                    std::future::pending::<()>().await;
                }
                let version = *self.version.borrow();
                (version, serde_json::to_vec(&self.status(self.revision())).unwrap())
            }
        };
        Ok(Response::builder().header("ETag", format!("\"{tag}\"")).body(Full::new(answer.into())).unwrap())
    }

    fn status(&self, revision: u64) -> Value {
        let provider_state = *self.provider_state.lock();
        let listening = |socket| json!({"localSocket": socket, "state": "listening", "providerState": provider_state});
        let app = json!({"appName": "db", "healthy": true});
        json!({
            "version": "1", "revision": revision, "ready": true,
            "sites": [match provider_state {
                "available" => json!({"siteName": "office", "siteId": "x", "state": "connected", "channels": [{"state": "good"}], "apps": [app]}),
                _ => json!({"siteName": "office", "siteId": "x", "state": "connecting"}),
            }],
            "listeners": self.local_sockets().into_iter().map(listening).collect::<Vec<_>>(),
        })
    }
}
