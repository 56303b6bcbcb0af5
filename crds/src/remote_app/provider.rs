//! A provider of a remote app.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wovenet_config::app::WEIGHT_DEFAULT;
use wovenet_config::name::NAME_MAX_BYTES;

/// An app of another site.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Provider {
    /// Name of the site that exposes the app.
    #[schemars(length(min = 1, max = NAME_MAX_BYTES))]
    pub site_name: String,
    /// Name of the app there.
    #[schemars(length(min = 1, max = NAME_MAX_BYTES))]
    pub app_name: String,
    /// Providers with a smaller number are used first; the others when none of those works.
    #[serde(default)]
    pub priority: u16,
    /// Share of the clients among providers of one priority. 0: only when no other is left.
    #[serde(default = "weight")]
    pub weight: u16,
}

fn weight() -> u16 {
    WEIGHT_DEFAULT
}
