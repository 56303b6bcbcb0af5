//! References to other objects by name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A Secret of the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretReference {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// A Site, which lives in the namespace of the operator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SiteReference {
    /// Name of the Site object (not its siteName).
    #[schemars(length(min = 1, max = crate::site::OBJECT_NAME_MAX))]
    pub name: String,
}
