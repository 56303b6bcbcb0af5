//! One request to the API of an agent: mutual TLS with raw public keys (RFC 7250), then HTTP/1.1.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, ETAG, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use wovenet_config::key::PublicKey;
use wovenet_identity::{OPERATOR_ALPN, SiteKey, tls};

use crate::agent_report::Report;

/// How long a connection and its handshake may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long an answer may take beyond the wait that was asked for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest answer, in bytes.
const ANSWER_MAX_BYTES: usize = 8 << 20;
/// What of a refusal is told.
const REFUSAL_MAX_CHARS: usize = 500;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(#[from] std::io::Error),
    /// The keys do not fit.
    #[error("cannot prepare TLS: {0}")]
    Tls(#[from] tls::TlsError),
    /// HTTP failed.
    #[error("the request failed: {0}")]
    Http(#[from] hyper::Error),
    /// The request could not be built.
    #[error("the request could not be built: {0}")]
    Build(#[from] hyper::http::Error),
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// The agent has a newer configuration.
    #[error("the agent has a newer configuration: {0}")]
    Conflict(String),
    /// The agent refused.
    #[error("the agent answered {0}: {1}")]
    Refused(StatusCode, String),
    /// The answer was too long or broken off.
    #[error("the answer cannot be read: {0}")]
    Body(String),
    /// The answer was no status.
    #[error("the answer is no status: {0}")]
    Json(#[from] serde_json::Error),
}

/// The API of one agent.
pub struct Door {
    /// Where it listens.
    pub address: SocketAddr,
    /// The key that it must have.
    pub site_key: PublicKey,
    /// The operator's own key.
    pub operator: SiteKey,
}

struct Answer {
    status: StatusCode,
    etag: Option<String>,
    body: Bytes,
}

impl Door {
    /// Pushes a configuration.
    ///
    /// # Errors
    /// [`RequestError`]; a conflict when the agent has a newer one.
    pub async fn put_config(&self, document: &[u8]) -> Result<(), RequestError> {
        let answer = self.request(Method::PUT, "/api/v1/config", document.to_vec(), ANSWER_TIMEOUT).await?;
        match answer.status {
            StatusCode::OK => Ok(()),
            StatusCode::CONFLICT => Err(RequestError::Conflict(text(&answer.body))),
            status => Err(RequestError::Refused(status, text(&answer.body))),
        }
    }

    /// Returns the status and its version; `None` when it is the same as `after` for the whole wait.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn status(
        &self,
        after: Option<&str>,
        wait: Duration,
    ) -> Result<Option<(Report, Option<String>)>, RequestError> {
        let path = match after {
            Some(tag) => format!("/api/v1/status?after={}&wait={}ms", tag.trim_matches('"'), wait.as_millis()),
            None => "/api/v1/status".to_owned(),
        };
        let answer = self.request(Method::GET, &path, Vec::new(), wait + ANSWER_TIMEOUT).await?;
        match answer.status {
            StatusCode::OK => Ok(Some((serde_json::from_slice(&answer.body)?, answer.etag))),
            StatusCode::NOT_MODIFIED => Ok(None),
            status => Err(RequestError::Refused(status, text(&answer.body))),
        }
    }

    /// Returns what the agent knows of other sites, as it wrote it.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn peers(&self) -> Result<Bytes, RequestError> {
        let answer = self.request(Method::GET, "/api/v1/peers", Vec::new(), ANSWER_TIMEOUT).await?;
        match answer.status {
            StatusCode::OK => Ok(answer.body),
            status => Err(RequestError::Refused(status, text(&answer.body))),
        }
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
        limit: Duration,
    ) -> Result<Answer, RequestError> {
        let stream = timeout(CONNECT_TIMEOUT, self.connect()).await.map_err(|_| RequestError::Timeout)??;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "agent")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))?;
        let exchange = async {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            let answered = async {
                let answer = sender.send_request(request).await?;
                let (head, body) = answer.into_parts();
                let body = Limited::new(body, ANSWER_MAX_BYTES).collect().await;
                let body = body.map_err(|error| RequestError::Body(error.to_string()))?.to_bytes();
                let etag = head.headers.get(ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
                Ok(Answer { status: head.status, etag, body })
            };
            let driven = async {
                connection.await.ok();
                std::future::pending::<Result<Answer, RequestError>>().await
            };
            tokio::select! {
                answer = answered => answer,
                never = driven => never,
            }
        };
        timeout(limit, exchange).await.map_err(|_| RequestError::Timeout)?
    }

    async fn connect(&self) -> Result<tokio_rustls::client::TlsStream<TcpStream>, RequestError> {
        let mut config = tls::client_config(&self.operator, self.site_key)?;
        config.alpn_protocols = vec![OPERATOR_ALPN.to_vec()];
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        // Raw public keys have no names; the library wants one.
        let name = ServerName::IpAddress(self.address.ip().into());
        Ok(TlsConnector::from(Arc::new(config)).connect(name, stream).await?)
    }
}

fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().take(REFUSAL_MAX_CHARS).collect()
}
