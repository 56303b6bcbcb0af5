//! Which path leads to which handler. The paths of wovenet are all here, with its answers to unknown ones.

pub(super) mod configuration;
pub(super) mod exposed_apps;
pub(super) mod open;
pub(super) mod peers;
pub(super) mod remote_apps;
pub(super) mod sites;
pub(super) mod status;

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{get, post, put};

use super::refusal::page_not_found;
use super::shared::Shared;
use super::{access_log, auth, browser};

/// Builds the router of the API.
pub(super) fn router(shared: Shared) -> Router {
    let open = Router::new()
        .route("/ping", get(open::ping))
        .route("/login", post(open::login))
        .route("/swagger/index.html", get(open::page))
        .route("/api/v1/openapi.json", get(open::document));
    protected()
        .route_layer(from_fn_with_state(shared.clone(), auth::require))
        .merge(open)
        .method_not_allowed_fallback(page_not_found)
        .fallback(page_not_found)
        .layer(map_response(harden))
        .layer(from_fn_with_state(shared.clone(), browser::guard))
        .layer(from_fn_with_state(shared.clone(), access_log::record))
        .with_state(shared)
}

fn protected() -> Router<Shared> {
    Router::new()
        .route("/api/v1/remoteSites", get(sites::list))
        .route("/api/v1/remoteSites/{siteName}", get(sites::one))
        .route("/api/v1/localExposedApps", get(exposed_apps::list).post(exposed_apps::create))
        .route(
            "/api/v1/localExposedApps/{appName}",
            get(exposed_apps::one).put(exposed_apps::replace).delete(exposed_apps::remove),
        )
        .route("/api/v1/remoteApps", get(remote_apps::list).post(remote_apps::create))
        .route("/api/v1/remoteApps/{appName}", get(remote_apps::one))
        .route("/api/v1/remoteApps/{siteName}/{appName}", put(remote_apps::replace).delete(remote_apps::remove))
        .route("/api/v1/config", get(configuration::read).put(configuration::replace))
        .route("/api/v1/peers", get(peers::read))
        .route("/api/v1/status", get(status::status))
}

/// Tells browsers to guess nothing, frame nothing and keep nothing.
async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
