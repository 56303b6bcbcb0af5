//! The port for probes and metrics, on a thread of its own: a heavy scrape never slows the data path.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus::{Registry, TextEncoder};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::acceptor::Acceptor;
use super::agent::{Agent, Status};
use super::connection;
use super::error::ApiError;
use super::limits::Limits;
use super::refusal::page_not_found;
use super::socket;

const THREAD_NAME: &str = "wovenet-health";

/// The running health and metrics port. Dropped, it ends without waiting.
#[derive(Debug)]
pub struct HealthServer {
    address: SocketAddr,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

#[derive(Clone)]
struct Sources {
    agent: Arc<dyn Agent>,
    registry: Registry,
}

impl HealthServer {
    /// Serves `/livez`, `/readyz` and `/metrics` on `listen`.
    ///
    /// # Errors
    /// [`ApiError`] when the address is taken or the system gives no thread.
    pub fn start(listen: SocketAddr, agent: Arc<dyn Agent>, registry: Registry) -> Result<Self, ApiError> {
        let failed = |source| ApiError::Listen { address: listen, source };
        let listener = socket::listen(listen)?;
        let address = listener.local_addr().map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ApiError::Thread)?;
        let stop = CancellationToken::new();
        let (router, stopped) = (router(Sources { agent, registry }), stop.clone());
        let thread = std::thread::Builder::new().name(THREAD_NAME.to_owned());
        let thread = thread.spawn(move || run(&runtime, listener, router, stopped)).map_err(ApiError::Thread)?;
        info!(listen_addr = %address, "health and metrics are served");
        Ok(Self { address, stop, thread: Some(thread) })
    }

    /// Returns where it listens, with the port that the system chose for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes, after the requests in progress have had a second.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        let Some(thread) = self.thread.take() else { return };
        let ended = tokio::task::spawn_blocking(move || thread.join()).await;
        if !matches!(ended, Ok(Ok(()))) {
            error!("the thread of the health port panicked");
        }
    }
}

impl Drop for HealthServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn run(runtime: &Runtime, listener: std::net::TcpListener, router: Router, stop: CancellationToken) {
    runtime.block_on(async move {
        let listener = match TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return error!(%error, "cannot serve health and metrics"),
        };
        let stopped = stop.clone();
        let serve = move |stream, remote| serve(stream, remote, router.clone(), stopped.clone());
        Acceptor { listener, limits: Limits::HEALTH, stop, serve }.run().await;
    });
}

async fn serve(stream: TcpStream, remote: SocketAddr, router: Router, stop: CancellationToken) {
    connection::serve(stream, router, remote, &Limits::HEALTH, &stop).await;
}

fn router(sources: Sources) -> Router {
    Router::new()
        .route("/livez", get(async || "ok"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .method_not_allowed_fallback(page_not_found)
        .fallback(page_not_found)
        .with_state(sources)
}

async fn ready(State(sources): State<Sources>) -> (StatusCode, String) {
    match sources.agent.ready() {
        true => (StatusCode::OK, "ok".to_owned()),
        false => (StatusCode::SERVICE_UNAVAILABLE, reason(&sources.agent.status())),
    }
}

/// Says what an agent that is not ready lacks. Never an address or a name of another site: the port is open to anyone.
fn reason(status: &Status) -> String {
    let sockets = status.tunnel_sockets.iter().filter(|socket| socket.bound.is_none()).count();
    let listeners = status.listeners.iter().filter(|listener| listener.bound.is_none()).count();
    match (sockets, listeners) {
        (0, 0) => "not ready: waiting for a channel to each needed site\n".to_owned(),
        _ => format!("not ready: {sockets} tunnel sockets and {listeners} listeners are not bound\n"),
    }
}

async fn metrics(State(sources): State<Sources>) -> Response {
    let kind: [(HeaderName, &str); 1] = [(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)];
    match TextEncoder::new().encode_to_string(&sources.registry.gather()) {
        Ok(text) => (kind, text).into_response(),
        Err(error) => {
            error!(%error, "cannot write metrics");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
