//! HTTP/1.1 on one connection, within its limits.

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::limits::Limits;
use super::write_limit::WriteLimit;

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
        .keep_alive(limits.keep_alive)
        .serve_connection(TokioIo::new(WriteLimit::new(io, limits.write)), service);
    tokio::pin!(connection);
    let grace = tokio::select! {
        biased;
        _ = connection.as_mut() => return,
        () = stop.cancelled() => limits.grace,
        () = tokio::time::sleep(limits.age) => limits.last_request,
    };
    connection.as_mut().graceful_shutdown();
    // An error here is the client's end, or a request that outlived the grace.
    tokio::time::timeout(grace, connection).await.ok();
}
