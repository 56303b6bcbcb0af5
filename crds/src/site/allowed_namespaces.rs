//! Whose apps may attach to a Site.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// The namespaces whose apps may attach.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("has(self.selector) == (self.from == 'Selector')")
        .message("selector goes with from: Selector, and only with it")
)]
pub struct AllowedNamespaces {
    /// Same: only the namespace of the Site. All: every namespace. Selector: namespaces with the labels of `selector`.
    #[serde(default)]
    pub from: From,
    /// Labels of the namespaces, with `from: Selector`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    pub selector: Option<LabelSelector>,
}

/// How namespaces are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum From {
    /// Only the namespace of the Site.
    #[default]
    Same,
    /// Every namespace.
    All,
    /// Namespaces with the labels of the selector.
    Selector,
}
