//! Reads what a request carries: documents, apps and query texts.

use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;
use wovenet_config::{Document, Problem};

use super::limits::{BODY_MAX_BYTES, BODY_TIMEOUT};
use super::refusal::Refusal;

/// A body of at most [`BODY_MAX_BYTES`], read whole.
pub(super) struct Body(Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Refusal;
    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        if announced_bytes(&request).is_some_and(|bytes| bytes > BODY_MAX_BYTES) {
            return Err(too_large());
        }
        let late = |_| Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time");
        let read = tokio::time::timeout(BODY_TIMEOUT, to_bytes(request.into_body(), BODY_MAX_BYTES)).await;
        read.map_err(late)?.map(Self).map_err(|error| match is_over_limit(&error) {
            true => too_large(),
            false => Refusal::new(StatusCode::BAD_REQUEST, "the body did not arrive whole"),
        })
    }
}

impl Body {
    /// Reads a whole configuration, JSON or YAML.
    pub fn document(&self) -> Result<Document, Refusal> {
        Document::read(&self.0).map_err(|error| unreadable(&error))
    }

    /// Reads one entry of a list of the configuration, JSON or YAML.
    pub fn entry<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        let is_json = self.0.trim_ascii_start().starts_with(b"{");
        match is_json {
            true => serde_json::from_slice(&self.0).map_err(|error| unreadable(&error)),
            false => serde_yaml::from_slice(&self.0).map_err(|error| unreadable(&error)),
        }
    }

    /// Reads JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.0).ok()
    }
}

fn announced_bytes(request: &Request) -> Option<usize> {
    request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn too_large() -> Refusal {
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {BODY_MAX_BYTES} bytes"))
}

fn is_over_limit(error: &axum::Error) -> bool {
    let source = std::error::Error::source(error);
    source.is_some_and(|source| source.is::<http_body_util::LengthLimitError>())
}

fn unreadable(error: &(dyn std::error::Error + 'static)) -> Refusal {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let text: Vec<String> = causes.map(ToString::to_string).collect();
    Refusal::invalid(vec![Problem::error("", text.join(": "))])
}
