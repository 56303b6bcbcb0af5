//! Other sites, in wovenet's form. Their state is in the status.

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::refusal::Refusal;
use crate::api::shared::Shared;
use crate::tunnel::status::{AppStatus, EndpointStatus, SiteStatus};

/// The transport of every socket so far, in wovenet's word.
const PROTOCOL: &str = "quic";

/// Another site as wovenet shows it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct RemoteSite {
    site_name: String,
    tunnel_sockets: Vec<TunnelSocket>,
    exposed_apps: Vec<AppName>,
}

/// Where a site can be dialled.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct TunnelSocket {
    address: String,
    port: u16,
    protocol: &'static str,
    /// The agent that answers there; empty for a configured address.
    id: String,
    dynamic_public_address: bool,
}

/// An app that a site exposes to this one.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct AppName {
    name: String,
}

impl From<SiteStatus> for RemoteSite {
    fn from(site: SiteStatus) -> Self {
        Self {
            site_name: site.site_name,
            tunnel_sockets: site.endpoints.into_iter().map(TunnelSocket::from).collect(),
            exposed_apps: site.apps.into_iter().map(AppName::from).collect(),
        }
    }
}

impl From<EndpointStatus> for TunnelSocket {
    fn from(endpoint: EndpointStatus) -> Self {
        let EndpointStatus { agent, address, port, dynamic } = endpoint;
        Self { address, port, protocol: PROTOCOL, id: agent, dynamic_public_address: dynamic }
    }
}

impl From<AppStatus> for AppName {
    fn from(app: AppStatus) -> Self {
        Self { name: app.app_name }
    }
}

/// Lists every known site.
#[utoipa::path(get, path = "/api/v1/remoteSites", tag = "sites", operation_id = "listRemoteSites", responses((status = 200, body = [RemoteSite])))]
pub(in crate::api) async fn list(State(shared): State<Shared>) -> Json<Vec<RemoteSite>> {
    Json(shared.agent.status().sites.into_iter().map(RemoteSite::from).collect())
}

/// Returns one site.
#[utoipa::path(get, path = "/api/v1/remoteSites/{siteName}", tag = "sites", operation_id = "readRemoteSite",
    params(("siteName" = String, Path, description = "Its name")),
    responses((status = 200, body = RemoteSite), (status = 404, body = Refusal)))]
pub(in crate::api) async fn one(
    State(shared): State<Shared>,
    Path(name): Path<String>,
) -> Result<Json<RemoteSite>, Refusal> {
    let site = shared.agent.status().sites.into_iter().find(|site| site.site_name == name);
    let site = site.ok_or_else(|| Refusal::not_found(format!("remote site: {name} not found")))?;
    Ok(Json(site.into()))
}
