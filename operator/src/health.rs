//! Health, readiness and metrics, on one port.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use prometheus::TextEncoder;
use tokio::net::TcpListener;

use crate::metrics::Metrics;

/// What is served.
#[derive(Clone)]
pub struct Health {
    /// The metrics.
    pub metrics: Metrics,
    /// Whether the operator sees the cluster. A replica that waits to lead is ready too.
    pub ready: Arc<AtomicBool>,
}

/// Serves until the process ends.
///
/// # Errors
/// When the port cannot be bound.
pub async fn serve(address: SocketAddr, health: Health) -> std::io::Result<()> {
    let routes = Router::new()
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(health);
    axum::serve(TcpListener::bind(address).await?, routes).await
}

async fn ready(State(health): State<Health>) -> (StatusCode, &'static str) {
    match health.ready.load(Ordering::Relaxed) {
        true => (StatusCode::OK, "ok"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not every kind was listed yet"),
    }
}

async fn metrics(State(health): State<Health>) -> Result<String, (StatusCode, String)> {
    let families = health.metrics.registry.gather();
    TextEncoder::new()
        .encode_to_string(&families)
        .map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}
