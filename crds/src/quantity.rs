//! Amounts of resources as people write them: `500m`, `64Mi`, or a whole number.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as KubernetesQuantity;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::schema;

/// The form of an amount, as in Kubernetes' own definitions.
const PATTERN: &str = concat!(
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))",
    r"(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$",
);

/// An amount of a resource. Kubernetes' own type in Rust refuses numbers, which people write too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Quantity(pub String);

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(QuantityVisitor)
    }
}

struct QuantityVisitor;

impl Visitor<'_> for QuantityVisitor {
    type Value = Quantity;
    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an amount such as 500m, 64Mi or 2")
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Quantity, E> {
        Ok(Quantity(text.to_owned()))
    }
    fn visit_i64<E: Error>(self, number: i64) -> Result<Quantity, E> {
        Ok(Quantity(number.to_string()))
    }
    fn visit_u64<E: Error>(self, number: u64) -> Result<Quantity, E> {
        Ok(Quantity(number.to_string()))
    }
    fn visit_f64<E: Error>(self, number: f64) -> Result<Quantity, E> {
        Ok(Quantity(number.to_string()))
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "maxLength": 64,
            "pattern": PATTERN,
        })
    }
}

/// What a container asks for, and what it may use at most.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resources {
    /// What is set aside for each agent, such as cpu: 100m and memory: 128Mi.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::quantities")]
    pub requests: BTreeMap<String, Quantity>,
    /// What each agent may use at most. The memory limit also bounds the buffers of tunnels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::quantities")]
    pub limits: BTreeMap<String, Quantity>,
}

impl From<Resources> for ResourceRequirements {
    fn from(resources: Resources) -> Self {
        let amounts = |amounts: BTreeMap<String, Quantity>| {
            let amounts: BTreeMap<_, _> =
                amounts.into_iter().map(|(name, Quantity(text))| (name, KubernetesQuantity(text))).collect();
            (!amounts.is_empty()).then_some(amounts)
        };
        Self { requests: amounts(resources.requests), limits: amounts(resources.limits), claims: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_text_or_numbers() {
        let resources: Resources =
            serde_json::from_str(r#"{"requests": {"cpu": 1, "memory": "64Mi"}}"#).expect("resources");
        let resources = ResourceRequirements::from(resources);
        let requests = resources.requests.expect("requests");
        assert_eq!(requests["cpu"], KubernetesQuantity("1".to_owned()));
        assert_eq!(requests["memory"], KubernetesQuantity("64Mi".to_owned()));
        assert_eq!(resources.limits, None);
    }
}
