//! One request to an agent's API.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use super::endpoint::Endpoint;
use super::trust;

/// How long the agent may take to accept, to shake hands and to answer, each; a long poll has its wait on top.
const STEP_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest answer that is read, in bytes.
const ANSWER_MAX_BYTES: usize = 64 << 20;

/// Why the agent could not be asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    #[error("cannot connect to the API at {0}: {1} (is the agent running, and does it listen there?)")]
    Connect(String, #[source] std::io::Error),
    #[error("the TLS handshake with {0} failed: {1} (is it the agent's API, and is --ca right?)")]
    Tls(String, #[source] std::io::Error),
    #[error("{0} speaks no HTTP there, or closed the connection: {1} (is it http or https?)")]
    Http(String, #[source] hyper::Error),
    #[error("{0} did not answer in time")]
    Timeout(String),
    #[error("{0} refused the credentials: use --token-file or --user, or name the agent's file with --config")]
    Unauthorized(String),
    #[error("{0} answered {1}: {2}")]
    Refused(String, StatusCode, String),
    #[error("the answer of {0} cannot be read: {1}")]
    Body(String, #[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the credentials have characters that no header can carry")]
    Credentials(#[from] hyper::http::Error),
}

/// What the agent answered.
#[derive(Debug)]
pub(super) enum Reply {
    /// A status, as JSON, and the name of its version.
    Status { text: String, etag: String },
    /// The version is still the one that was named.
    Unchanged,
}

/// Talks to one API, with a connection for each request.
pub(super) struct Client {
    endpoint: Endpoint,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

impl Client {
    /// Prepares TLS, if the API speaks it.
    pub fn new(endpoint: Endpoint) -> anyhow::Result<Self> {
        let tls = match trust::client_config(&endpoint.trust)? {
            Some(config) => Some((Arc::new(config), ServerName::try_from(endpoint.host.clone())?)),
            None => None,
        };
        Ok(Self { endpoint, tls })
    }

    /// Asks for the status; with `after`, waits for another version than that.
    pub async fn status(&self, after: Option<&str>, wait: Duration) -> Result<Reply, ClientError> {
        let path = match after {
            Some(after) => format!("/api/v1/status?after={after}&wait={}ms", wait.as_millis()),
            None => "/api/v1/status".to_owned(),
        };
        let response = match &self.tls {
            None => self.send(self.connect().await?, &path, wait).await?,
            Some((config, name)) => {
                let handshake = TlsConnector::from(config.clone()).connect(name.clone(), self.connect().await?);
                let stream = self.within(STEP_TIMEOUT, handshake).await?;
                let stream = stream.map_err(|error| ClientError::Tls(self.name(), error))?;
                self.send(stream, &path, wait).await?
            }
        };
        self.reply(response)
    }

    async fn connect(&self) -> Result<TcpStream, ClientError> {
        let connecting = TcpStream::connect((self.endpoint.host.as_str(), self.endpoint.port));
        let connected = self.within(STEP_TIMEOUT, connecting).await?;
        connected.map_err(|error| ClientError::Connect(self.name(), error))
    }

    async fn send<S>(&self, stream: S, path: &str, wait: Duration) -> Result<Response<Bytes>, ClientError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let failed = |error| ClientError::Http(self.name(), error);
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
        let response = self.within(STEP_TIMEOUT + wait, sender.send_request(self.request(path)?)).await?;
        let (head, body) = response.map_err(failed)?.into_parts();
        let body = self.within(STEP_TIMEOUT, Limited::new(body, ANSWER_MAX_BYTES).collect()).await?;
        let body = body.map_err(|error| ClientError::Body(self.name(), error))?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }

    fn request(&self, path: &str) -> Result<Request<Empty<Bytes>>, ClientError> {
        let mut request = Request::get(path).header(header::HOST, self.name()).header(header::CONNECTION, "close");
        if let Some(authorization) = &self.endpoint.authorization {
            request = request.header(header::AUTHORIZATION, authorization.as_str());
        }
        Ok(request.body(Empty::new())?)
    }

    fn reply(&self, response: Response<Bytes>) -> Result<Reply, ClientError> {
        let etag = response.headers().get(header::ETAG).and_then(|etag| etag.to_str().ok()).unwrap_or_default();
        let etag = etag.trim_matches('"').to_owned();
        let text = String::from_utf8_lossy(response.body()).into_owned();
        match response.status() {
            StatusCode::OK => Ok(Reply::Status { text, etag }),
            StatusCode::NOT_MODIFIED => Ok(Reply::Unchanged),
            StatusCode::UNAUTHORIZED => Err(ClientError::Unauthorized(self.name())),
            status => Err(ClientError::Refused(self.name(), status, message(&text))),
        }
    }

    async fn within<T>(&self, limit: Duration, future: impl Future<Output = T>) -> Result<T, ClientError> {
        timeout(limit, future).await.map_err(|_| ClientError::Timeout(self.name()))
    }

    fn name(&self) -> String {
        self.endpoint.to_string()
    }
}

/// Takes the message out of a refusal; an answer of another form is shown by its first line.
fn message(text: &str) -> String {
    #[derive(Deserialize)]
    struct Message {
        message: String,
    }
    match serde_json::from_str::<Message>(text) {
        Ok(refusal) => refusal.message,
        Err(_) => text.lines().next().unwrap_or_default().to_owned(),
    }
}
