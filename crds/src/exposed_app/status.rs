//! What the operator saw of an ExposedApp.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wovenet_config::name::NAME_MAX_BYTES;

use crate::schema;

/// The longest summary of a target. Longer ones are cut.
pub const TARGET_MAX_CHARS: usize = 256;

/// What the operator saw of the ExposedApp.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExposedAppStatus {
    /// The generation of the ExposedApp that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,

    /// Accepted, ResolvedRefs, Programmed and Ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,

    /// The Site that the app is attached to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub site: Option<String>,

    /// Name by which other sites know the app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = NAME_MAX_BYTES))]
    pub app_name: Option<String>,

    /// What is reached, in short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = TARGET_MAX_CHARS))]
    pub target: Option<String>,
}
