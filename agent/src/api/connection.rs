//! HTTP/1.1 on one connection, within its limits.

use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::limits::{BODY_TIMEOUT, Limits, WAIT_MAX};

/// How long a request that began before [`Limits::age`] may take: a body, a long poll, and some time to answer.
const LAST_REQUEST_MAX: Duration = BODY_TIMEOUT.saturating_add(WAIT_MAX);

/// Serves requests until the client leaves, a limit is met or `stop` is cancelled. `about` reaches every handler.
pub(super) async fn serve<IO, T>(io: IO, router: Router, about: T, limits: &Limits, stop: &CancellationToken)
where
    IO: AsyncRead + AsyncWrite + Unpin + 'static,
    T: Clone + Send + Sync + 'static,
{
    let inner = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(about.clone());
        inner.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .max_buf_size(limits.head_bytes)
        .serve_connection(TokioIo::new(io), service);
    tokio::pin!(connection);
    let grace = tokio::select! {
        biased;
        _ = connection.as_mut() => return,
        () = stop.cancelled() => limits.grace,
        () = tokio::time::sleep(limits.age) => LAST_REQUEST_MAX,
    };
    connection.as_mut().graceful_shutdown();
    // An error here is the client's end, or a request that outlived the grace.
    tokio::time::timeout(grace, connection).await.ok();
}
