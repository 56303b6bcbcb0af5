//! Remote apps: listed in wovenet's form, created, replaced and removed one at a time.

use axum::Json;
use axum::extract::{Extension, Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wovenet_config::document;

use super::configuration::change;
use crate::api::agent::Applied;
use crate::api::app_schema::RemoteApp;
use crate::api::door::Peer;
use crate::api::edits::{self, RemoteAppReference};
use crate::api::refusal::Refusal;
use crate::api::request::{Body, Written};
use crate::api::shared::Shared;

/// A remote app as wovenet shows it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct RemoteAppView {
    site_name: String,
    app_name: String,
    local_socket: String,
    app_socket: String,
}

/// Tells remote apps apart that use the same app.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct Which {
    /// The local socket; needed when several remote apps use the same app.
    local_socket: Option<String>,
}

impl From<&document::RemoteApp> for RemoteAppView {
    fn from(app: &document::RemoteApp) -> Self {
        let (site, name) = edits::provider(app);
        Self {
            site_name: site.to_owned(),
            app_name: name.to_owned(),
            local_socket: app.local_socket.clone().unwrap_or_default(),
            app_socket: app.app_socket.clone().unwrap_or_default(),
        }
    }
}

/// Lists the apps of other sites that have a local socket here, in the order of the configuration.
#[utoipa::path(get, path = "/api/v1/remoteApps", tag = "apps", operation_id = "listRemoteApps", responses((status = 200, body = [RemoteAppView])))]
pub(in crate::api) async fn list(State(shared): State<Shared>) -> Json<Vec<RemoteAppView>> {
    Json(shared.agent.document().remote_apps.iter().map(RemoteAppView::from).collect())
}

/// Returns the first remote app of that name, of any site.
#[utoipa::path(get, path = "/api/v1/remoteApps/{appName}", tag = "apps", operation_id = "readRemoteApp",
    params(("appName" = String, Path, description = "Its name at the site that exposes it")),
    responses((status = 200, body = RemoteAppView), (status = 404, body = Refusal)))]
pub(in crate::api) async fn one(
    State(shared): State<Shared>,
    Path(name): Path<String>,
) -> Result<Json<RemoteAppView>, Refusal> {
    let document = shared.agent.document();
    let app = document.remote_apps.iter().find(|app| edits::provider(app).1 == name);
    let app = app.ok_or_else(|| Refusal::not_found(format!("remote app: {name} not found")))?;
    Ok(Json(app.into()))
}

/// Gives an app of another site a local socket here.
#[utoipa::path(post, path = "/api/v1/remoteApps", tag = "apps", operation_id = "createRemoteApp", request_body = RemoteApp,
    responses((status = 201, body = Applied), (status = 409, body = Refusal), (status = 422, body = Refusal)))]
pub(in crate::api) async fn create(
    State(shared): State<Shared>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> Result<(StatusCode, Json<Applied>), Refusal> {
    let Written { value: app, warnings } = body.written()?;
    let applied = change(&shared, peer, move |running| edits::add_remote(running, app)).await?;
    Ok((StatusCode::CREATED, Json(applied.warned(warnings))))
}

/// Replaces a remote app.
#[utoipa::path(put, path = "/api/v1/remoteApps/{siteName}/{appName}", tag = "apps", operation_id = "replaceRemoteApp", request_body = RemoteApp,
    params(("siteName" = String, Path, description = "The first provider's site"),
        ("appName" = String, Path, description = "The app's name there"), Which),
    responses((status = 200, body = Applied), (status = 404, body = Refusal), (status = 422, body = Refusal)))]
pub(in crate::api) async fn replace(
    State(shared): State<Shared>,
    Extension(peer): Extension<Peer>,
    Path(names): Path<(String, String)>,
    Query(which): Query<Which>,
    body: Body,
) -> Result<Json<Applied>, Refusal> {
    let Written { value: app, warnings } = body.written()?;
    let reference = reference(names, which);
    change(&shared, peer, move |running| edits::replace_remote(running, &reference, app))
        .await
        .map(|applied| Json(applied.warned(warnings)))
}

/// Closes a remote app's local socket.
#[utoipa::path(delete, path = "/api/v1/remoteApps/{siteName}/{appName}", tag = "apps", operation_id = "removeRemoteApp",
    params(("siteName" = String, Path, description = "The first provider's site"),
        ("appName" = String, Path, description = "The app's name there"), Which),
    responses((status = 200, body = Applied), (status = 404, body = Refusal), (status = 409, body = Refusal)))]
pub(in crate::api) async fn remove(
    State(shared): State<Shared>,
    Extension(peer): Extension<Peer>,
    Path(names): Path<(String, String)>,
    Query(which): Query<Which>,
) -> Result<Json<Applied>, Refusal> {
    let reference = reference(names, which);
    change(&shared, peer, move |running| edits::remove_remote(running, &reference)).await.map(Json)
}

fn reference((site, app): (String, String), which: Which) -> RemoteAppReference {
    RemoteAppReference { site, app, local_socket: which.local_socket }
}
