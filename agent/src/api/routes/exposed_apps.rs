//! Exposed apps: listed in wovenet's form, created, replaced and removed one at a time.

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use wovenet_config::document;

use super::configuration::change;
use crate::api::agent::Applied;
use crate::api::app_schema::ExposedApp;
use crate::api::door::Peer;
use crate::api::edits;
use crate::api::refusal::Refusal;
use crate::api::request::{Body, Written};
use crate::api::shared::Shared;

/// An exposed app as wovenet shows it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct LocalExposedApp {
    mode: String,
    app_name: String,
    app_socket: String,
    port_range: Option<Vec<String>>,
    address_range: Option<Vec<String>>,
}

impl From<&document::ExposedApp> for LocalExposedApp {
    fn from(app: &document::ExposedApp) -> Self {
        let filled = |list: &Vec<String>| Some(list.clone()).filter(|list| !list.is_empty());
        Self {
            mode: app.mode.clone().unwrap_or_else(|| "single".to_owned()),
            app_name: app.app_name.clone().unwrap_or_default(),
            app_socket: app.app_socket.clone().unwrap_or_default(),
            port_range: filled(&app.port_range),
            address_range: filled(&app.address_range),
        }
    }
}

/// Lists the apps of this site that others may reach, in the order of the configuration.
#[utoipa::path(get, path = "/api/v1/localExposedApps", tag = "apps", operation_id = "listLocalExposedApps", responses((status = 200, body = [LocalExposedApp])))]
pub(in crate::api) async fn list(State(shared): State<Shared>) -> Json<Vec<LocalExposedApp>> {
    Json(shared.agent.document().local_exposed_apps.iter().map(LocalExposedApp::from).collect())
}

/// Returns one exposed app.
#[utoipa::path(get, path = "/api/v1/localExposedApps/{appName}", tag = "apps", operation_id = "readLocalExposedApp",
    params(("appName" = String, Path, description = "Its name")),
    responses((status = 200, body = LocalExposedApp), (status = 404, body = Refusal)))]
pub(in crate::api) async fn one(
    State(shared): State<Shared>,
    Path(name): Path<String>,
) -> Result<Json<LocalExposedApp>, Refusal> {
    let document = shared.agent.document();
    let app = document.local_exposed_apps.iter().find(|app| app.app_name.as_ref() == Some(&name));
    let app = app.ok_or_else(|| Refusal::not_found(format!("local exposed app: {name} not found")))?;
    Ok(Json(app.into()))
}

/// Exposes an app.
#[utoipa::path(post, path = "/api/v1/localExposedApps", tag = "apps", operation_id = "createLocalExposedApp", request_body = ExposedApp,
    responses((status = 201, body = Applied), (status = 409, body = Refusal), (status = 422, body = Refusal)))]
pub(in crate::api) async fn create(
    State(shared): State<Shared>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> Result<(StatusCode, Json<Applied>), Refusal> {
    let Written { value: app, warnings } = body.written()?;
    let applied = change(&shared, peer, move |running| edits::add_exposed(running, app)).await?;
    Ok((StatusCode::CREATED, Json(applied.warned(warnings))))
}

/// Replaces an exposed app.
#[utoipa::path(put, path = "/api/v1/localExposedApps/{appName}", tag = "apps", operation_id = "replaceLocalExposedApp", request_body = ExposedApp,
    params(("appName" = String, Path, description = "Its name")),
    responses((status = 200, body = Applied), (status = 404, body = Refusal), (status = 422, body = Refusal)))]
pub(in crate::api) async fn replace(
    State(shared): State<Shared>,
    Extension(peer): Extension<Peer>,
    Path(name): Path<String>,
    body: Body,
) -> Result<Json<Applied>, Refusal> {
    let Written { value: app, warnings } = body.written()?;
    change(&shared, peer, move |running| edits::replace_exposed(running, &name, app))
        .await
        .map(|applied| Json(applied.warned(warnings)))
}

/// Exposes an app no longer.
#[utoipa::path(delete, path = "/api/v1/localExposedApps/{appName}", tag = "apps", operation_id = "removeLocalExposedApp",
    params(("appName" = String, Path, description = "Its name")),
    responses((status = 200, body = Applied), (status = 404, body = Refusal)))]
pub(in crate::api) async fn remove(
    State(shared): State<Shared>,
    Extension(peer): Extension<Peer>,
    Path(name): Path<String>,
) -> Result<Json<Applied>, Refusal> {
    change(&shared, peer, move |running| edits::remove_exposed(running, &name)).await.map(Json)
}
