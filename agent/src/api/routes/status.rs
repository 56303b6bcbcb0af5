//! The state of everything, at once or as soon as it changes.

use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::timeout;
use utoipa::IntoParams;
use wovenet_config::duration::parse_duration;

use crate::api::agent::Status;
use crate::api::limits::WAIT_MAX;
use crate::api::refusal::Refusal;
use crate::api::shared::Shared;

/// When to answer.
#[derive(Deserialize, IntoParams)]
pub(in crate::api) struct When {
    /// The `ETag` of the last answer: answer only with another state.
    after: Option<String>,
    /// How long to wait for another state, as `5s` or in seconds, at most 60 s; default 0.
    wait: Option<String>,
}

/// Returns the state of everything. The `ETag` changes with channels, listeners, brokers and configuration, not with
/// traffic.
#[utoipa::path(get, path = "/api/v1/status", tag = "status", operation_id = "readStatus", params(When), responses(
    (status = 200, body = Status, headers(("ETag" = String, description = "Names this state; for `after`"))),
    (status = 304, description = "Nothing changed"),
    (status = 400, description = "`wait` is no duration", body = Refusal)))]
pub(in crate::api) async fn status(
    State(shared): State<Shared>,
    Query(when): Query<When>,
) -> Result<Response, Refusal> {
    let wait = when.wait.as_deref().map_or(Ok(Duration::ZERO), parse_duration);
    let wait = wait.map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, format!("wait: {error}")))?;
    let mut changes = shared.agent.changes();
    if let Some(after) = when.after {
        let change = changed(&shared, &mut changes, after.trim_matches('"'));
        // Without a change in time the version is still the same.
        timeout(wait.min(WAIT_MAX), change).await.ok();
        let etag = etag(shared.process, *changes.borrow_and_update());
        if etag == after.trim_matches('"') {
            return Ok((StatusCode::NOT_MODIFIED, tagged(&etag)).into_response());
        }
    }
    // The version is read first: a change in between is told again rather than lost.
    let etag = etag(shared.process, *changes.borrow_and_update());
    Ok((tagged(&etag), Json(shared.agent.status())).into_response())
}

/// Ends when the version is another one than `after`, or when there will be no more.
async fn changed(shared: &Shared, changes: &mut watch::Receiver<u64>, after: &str) {
    let process = shared.process;
    tokio::select! {
        () = shared.stop.cancelled() => {}
        _ = changes.wait_for(|version| etag(process, *version) != after) => {}
    }
}

fn etag(process: u64, version: u64) -> String {
    format!("{process:016x}-{version}")
}

fn tagged(etag: &str) -> [(HeaderName, String); 1] {
    [(header::ETAG, format!("\"{etag}\""))]
}
