//! One line for each request: never a header, a query or a body.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use axum::extract::{Extension, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use parking_lot::Mutex;
use tracing::{debug, warn};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use super::door::Peer;
use super::error::ApiError;
use super::shared::Shared;

/// Where lines go: the agent's own log at debug level, or a file of their own.
#[derive(Default)]
pub(super) struct AccessLog(Option<Mutex<File>>);

impl AccessLog {
    /// Opens the file, and makes its directory.
    ///
    /// # Errors
    /// [`ApiError::File`] names the path.
    pub fn open(path: Option<&Path>) -> Result<Self, ApiError> {
        let Some(path) = path else { return Ok(Self::default()) };
        let failed = |source| ApiError::File { path: path.to_owned(), source };
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).map_err(failed)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(failed)?;
        Ok(Self(Some(Mutex::new(file))))
    }

    fn write(&self, file: &Mutex<File>, line: &str) {
        let mut time = String::new();
        // Writing into a text cannot fail.
        SystemTime.format_time(&mut Writer::new(&mut time)).ok();
        if let Err(error) = file.lock().write_all(format!("{time} {line}\n").as_bytes()) {
            warn!(%error, "cannot write the access log of the API");
        }
    }
}

/// Logs a request after it was answered.
pub(super) async fn record(
    State(shared): State<Shared>,
    Extension(peer): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let (method, path, start) = (request.method().clone(), request.uri().path().to_owned(), Instant::now());
    let response = next.run(request).await;
    let (remote_addr, status) = (peer.remote, response.status().as_u16());
    let elapsed_ms = start.elapsed().as_millis() as u64;
    match &shared.access_log.0 {
        None => debug!(%remote_addr, %method, path, status, elapsed_ms, "API request"),
        Some(file) => shared.access_log.write(file, &format!("{remote_addr} {method} {path} {status} {elapsed_ms}ms")),
    }
    response
}
