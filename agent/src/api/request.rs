//! Reads what a request carries: documents, apps and query texts.

use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;
use wovenet_config::problem::shown;
use wovenet_config::{Document, Problem};

use super::limits::{BODY_MAX_BYTES, BODY_TIMEOUT};
use super::refusal::Refusal;

/// How many unknown keys of one body are told.
const UNKNOWN_TOLD_MAX: usize = 16;

/// A body of at most [`BODY_MAX_BYTES`], read whole.
pub(super) struct Body(Bytes);

/// What a person sent, and what may not be meant so.
pub(super) struct Written<T> {
    pub value: T,
    /// A line for each unknown key, [`UNKNOWN_TOLD_MAX`] at most.
    pub warnings: Vec<String>,
}

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
    /// Reads a whole configuration of a program, JSON or YAML. Unknown keys are a newer program's.
    pub fn document(&self) -> Result<Document, Refusal> {
        Document::read(&self.0).map_err(|error| unreadable(&error))
    }

    /// Reads a configuration of a person, or one entry of its lists, JSON or YAML.
    pub fn written<T: DeserializeOwned>(&self) -> Result<Written<T>, Refusal> {
        let mut unknown = Vec::new();
        let is_json = self.0.trim_ascii_start().starts_with(b"{");
        let value = match is_json {
            true => json(&self.0, &mut unknown).map_err(|error| unreadable(&error))?,
            false => yaml(&self.0, &mut unknown).map_err(|error| unreadable(&error))?,
        };
        Ok(Written { value, warnings: unknown })
    }

    /// Reads JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.0).ok()
    }
}

fn json<T: DeserializeOwned>(bytes: &[u8], unknown: &mut Vec<String>) -> serde_json::Result<T> {
    let mut source = serde_json::Deserializer::from_slice(bytes);
    let value = serde_ignored::deserialize(&mut source, |path| note(unknown, &path))?;
    source.end().map(|()| value)
}

fn yaml<T: DeserializeOwned>(bytes: &[u8], unknown: &mut Vec<String>) -> Result<T, serde_yaml::Error> {
    serde_ignored::deserialize(serde_yaml::Deserializer::from_slice(bytes), |path| note(unknown, &path))
}

fn note(unknown: &mut Vec<String>, path: &serde_ignored::Path<'_>) {
    if unknown.len() < UNKNOWN_TOLD_MAX {
        unknown.push(format!("the key {} is unknown and ignored", shown(&place(path))));
    }
}

/// Writes a path as problems do: `remoteApps[0].siteName`.
fn place(path: &serde_ignored::Path<'_>) -> String {
    use serde_ignored::Path;
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => format!("{}[{index}]", place(parent)),
        Path::Map { parent, key } => match place(parent) {
            outer if outer.is_empty() => key.clone(),
            outer => format!("{outer}.{key}"),
        },
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => place(parent),
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
