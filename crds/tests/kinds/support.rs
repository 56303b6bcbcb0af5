//! The definitions as values, and a walk over their schemas.

use serde_json::{Map, Value};

/// Returns the definitions as they are generated, by kind.
pub fn definitions() -> Vec<(String, Value)> {
    let files = wovenet_crds::definition::files().expect("definitions");
    let read = |content: &str| -> Value { serde_yaml::from_str(content).expect("YAML") };
    files
        .iter()
        .map(|file| read(&file.content))
        .map(|value| (value["spec"]["names"]["kind"].as_str().expect("a kind").to_owned(), value))
        .collect()
}

/// Returns the schema of a kind.
pub fn schema(definition: &Value) -> &Value {
    &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
}

/// Calls `visit` with the path and the fields of every schema below and including this one.
pub fn walk(path: &str, schema: &Value, visit: &mut dyn FnMut(&str, &Map<String, Value>)) {
    let Some(fields) = schema.as_object() else { return };
    visit(path, fields);
    for (name, property) in fields.get("properties").and_then(Value::as_object).into_iter().flatten() {
        walk(&format!("{path}.{name}"), property, visit);
    }
    for (key, suffix) in [("items", "[]"), ("additionalProperties", "{}")] {
        if let Some(inner) = fields.get(key) {
            walk(&format!("{path}{suffix}"), inner, visit);
        }
    }
}
