//! What the agent knows of other sites, for the operator, which keeps it for agents to come.

use axum::extract::{Extension, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::api::door::{Peer, Side};
use crate::api::refusal::Refusal;
use crate::api::shared::Shared;

/// Returns what the agent knows of other sites: bound names, and signed statements with the addresses of their agents. For
/// the operator only.
#[utoipa::path(get, path = "/api/v1/peers", tag = "status", operation_id = "readPeers", responses(
    (status = 200, description = "In the form of `peersFile`, at most 1 MiB", body = serde_json::Value),
    (status = 403, description = "Only the operator may read it", body = Refusal)))]
pub(in crate::api) async fn read(
    State(shared): State<Shared>,
    Extension(peer): Extension<Peer>,
) -> Result<Response, Refusal> {
    if peer.side != Side::Operator {
        return Err(Refusal::forbidden("only the operator may read what is known of peers"));
    }
    Ok(([(header::CONTENT_TYPE, "application/json")], shared.agent.known_peers()).into_response())
}
