//! What anyone may ask: whether the API is there, whether a password is right, and what the API can do.

use std::time::Instant;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::api::auth::too_many;
use crate::api::door::Peer;
use crate::api::openapi::openapi_json;
use crate::api::request::Body;
use crate::api::shared::Shared;

const PAGE: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>wovenet agent API</title>\n<h1>wovenet agent API</h1>\n<p>The API is described by <a href=\"/api/v1/openapi.json\">/api/v1/openapi.json</a> (OpenAPI).</p></html>\n";

/// A user and a password to be checked.
#[derive(Deserialize, Serialize, ToSchema)]
pub(in crate::api) struct Login {
    username: String,
    password: String,
}

/// Tells that the API is there.
#[utoipa::path(get, path = "/ping", tag = "open", operation_id = "ping", security(()), responses((status = 200, body = String, content_type = "text/plain", example = "pong")))]
pub(in crate::api) async fn ping() -> &'static str {
    "pong"
}

/// Checks a user's password. There are no sessions: each request carries its credentials.
#[utoipa::path(post, path = "/login", tag = "open", operation_id = "login", security(()), request_body = Login, responses(
    (status = 200, description = "The password is right"),
    (status = 400, description = "The body is malformed"),
    (status = 401, description = "The password is wrong"),
    (status = 429, description = "The address has shown too many wrong ones")))]
pub(in crate::api) async fn login(
    State(shared): State<Shared>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> Response {
    let (address, now) = (peer.remote.ip(), Instant::now());
    if !shared.attempts.may_try(address, now) {
        return too_many();
    }
    let Some(login) = body.json::<Login>() else {
        return (StatusCode::BAD_REQUEST, Json(json!({ "error": "Invalid request" }))).into_response();
    };
    match shared.credentials.know_user(&login.username, &login.password) {
        true => Json(json!({ "message": "Login successful" })).into_response(),
        false => {
            shared.attempts.failed(address, now);
            (StatusCode::UNAUTHORIZED, Json(json!({ "error": "Invalid credentials" }))).into_response()
        }
    }
}

/// A page for people who look where wovenet had its own.
pub(in crate::api) async fn page() -> Html<&'static str> {
    Html(PAGE)
}

/// Returns this description.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "open", operation_id = "readApiDocument", security(()), responses((status = 200, body = serde_json::Value)))]
pub(in crate::api) async fn document() -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (kind, openapi_json()).into_response()
}
