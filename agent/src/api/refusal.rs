//! What a client is told when its request is refused.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use wovenet_config::Problem;

use super::agent::ApplyError;

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Refusal {
    /// The HTTP status code.
    pub code: u16,
    /// The reason, on one line.
    pub message: String,
    /// What is wrong with the configuration, when that is the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<ProblemView>,
}

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct ProblemView {
    /// Which key, as in `localExposedApps[2].appSocket`; empty for the configuration as a whole.
    pub path: String,
    /// `error` or `warning`.
    pub severity: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Refusal {
    pub fn new(code: StatusCode, message: impl Into<String>) -> Self {
        Self { code: code.as_u16(), message: message.into(), problems: Vec::new() }
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }

    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    /// Refuses a configuration for what is wrong with it.
    pub fn invalid(problems: Vec<Problem>) -> Self {
        let message = ApplyError::Invalid(problems.clone()).to_string();
        let problems = problems.into_iter().map(ProblemView::from).collect();
        Self { problems, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, message) }
    }
}

impl From<Problem> for ProblemView {
    fn from(problem: Problem) -> Self {
        Self { path: problem.path, severity: problem.severity.to_string(), message: problem.message }
    }
}

impl From<ApplyError> for Refusal {
    fn from(error: ApplyError) -> Self {
        let message = error.to_string();
        match error {
            ApplyError::Invalid(problems) => Self::invalid(problems),
            ApplyError::Outdated { .. } | ApplyError::NeedsRestart(_) => Self::conflict(message),
            ApplyError::Failed(_) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, message),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let code = StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (code, Json(self)).into_response()
    }
}

/// The answer to an unknown path or method, as of wovenet.
pub(super) async fn page_not_found() -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain")];
    (StatusCode::NOT_FOUND, kind, "404 page not found").into_response()
}
