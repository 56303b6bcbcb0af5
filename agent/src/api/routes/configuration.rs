//! The whole configuration: read without secrets, replaced as a whole.

use axum::Json;
use axum::extract::{Extension, State};
use wovenet_config::{Document, Problem};

use crate::api::agent::{Applied, Origin};
use crate::api::door::{Peer, Side};
use crate::api::refusal::Refusal;
use crate::api::request::{Body, Written};
use crate::api::restore::restore;
use crate::api::shared::Shared;

/// Returns the configuration in force; secrets read `<redacted>`.
#[utoipa::path(get, path = "/api/v1/config", tag = "configuration", operation_id = "readConfig", responses(
    (status = 200, description = "The configuration in the form of the configuration file", body = serde_json::Value)))]
pub(in crate::api) async fn read(State(shared): State<Shared>) -> Json<Document> {
    Json(shared.agent.document().redacted())
}

/// Replaces the configuration. What was read as `<redacted>` may be sent back as it is and keeps its value.
#[utoipa::path(put, path = "/api/v1/config", tag = "configuration", operation_id = "replaceConfig",
    request_body(content = serde_json::Value, description = "The whole configuration, JSON or YAML"),
    responses(
        (status = 200, body = Applied),
        (status = 403, description = "The operator owns the configuration", body = Refusal),
        (status = 409, description = "Older than the one in force, or needs a new start", body = Refusal),
        (status = 413, description = "Too large", body = Refusal),
        (status = 422, description = "Invalid; the running one stays", body = Refusal)))]
pub(in crate::api) async fn replace(
    State(shared): State<Shared>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> Result<Json<Applied>, Refusal> {
    let applied = match peer.side {
        Side::Operator => {
            let document = body.document()?;
            has_revision(&document)?;
            shared.editor.change(Origin::Operator, move |_| Ok(document)).await?
        }
        Side::Person => {
            let Written { value: document, warnings } = body.written::<Document>()?;
            if document.revision.is_some() {
                return Err(Refusal::forbidden("only the operator may set a configuration that has a revision"));
            }
            change(&shared, peer, move |running| restore(document, running).map_err(Refusal::invalid))
                .await?
                .warned(warnings)
        }
    };
    Ok(Json(applied))
}

/// Applies a person's change. What the operator owns is changed by the operator only, and only as a whole.
pub(in crate::api) async fn change(
    shared: &Shared,
    peer: Peer,
    edit: impl FnOnce(&Document) -> Result<Document, Refusal> + Send + 'static,
) -> Result<Applied, Refusal> {
    if peer.side == Side::Operator {
        return Err(Refusal::forbidden("the operator changes the configuration as a whole"));
    }
    let edit = move |running: &Document| match running.revision {
        None => edit(running),
        Some(_) => Err(Refusal::forbidden("the operator owns this configuration; change its ExposedApp or RemoteApp")),
    };
    shared.editor.change(Origin::Person, edit).await
}

fn has_revision(document: &Document) -> Result<(), Refusal> {
    match document.revision {
        Some(_) => Ok(()),
        None => Err(Refusal::invalid(vec![Problem::error("revision", "is required of the operator")])),
    }
}
