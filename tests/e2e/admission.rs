//! Bad objects are refused by the API server with the field named; stored bad ones hurt nobody else.

use serde_json::{Map, Value};

use crate::installed::installed;
use crate::world::world;

const RULES: &str = include_str!("../../crds/tests/kinds/rules.yaml");

/// FAULTS row 100.
#[test]
fn fault_100_the_api_server_gives_every_object_the_verdict_of_its_rules() {
    installed().unwrap();
    let a = &world().unwrap().a;
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds").display().to_string();
    a.kubectl(&["apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", &directory]).unwrap();
    let rules: Value = serde_yaml::from_str(RULES).unwrap();
    let (mut accepted, mut refused) = (0, 0);
    for case in rules["cases"].as_array().unwrap().iter().filter(|case| case.get("old").is_none()) {
        let base = &rules["base"][case["kind"].as_str().unwrap()];
        for change in case["accepted"].as_array().into_iter().flatten() {
            let object = merged(base, change);
            try_to_make(a, &object).unwrap_or_else(|error| panic!("{object} is refused: {error:#}"));
            accepted += 1;
        }
        for change in case["refused"].as_array().into_iter().flatten() {
            let object = merged(base, change);
            let error = try_to_make(a, &object).expect_err(&format!("{object} is accepted")).to_string();
            assert!(error.contains("is invalid") || error.contains("Invalid value"), "{error}");
            refused += 1;
        }
    }
    println!("{accepted} objects accepted, {refused} refused");
    assert!(accepted > 30 && refused > 30);
}

fn try_to_make(cluster: &wovenet_tests::clusters::Cluster, object: &Value) -> anyhow::Result<()> {
    cluster.create_dry_run("default", &object.to_string())
}

/// A JSON merge patch (RFC 7396).
fn merged(base: &Value, change: &Value) -> Value {
    let (Some(base_fields), Some(change)) = (base.as_object(), change.as_object()) else { return change.clone() };
    let mut fields: Map<String, Value> = base_fields.clone();
    for (key, value) in change {
        match value {
            Value::Null => drop(fields.remove(key)),
            value => {
                let before = fields.get(key).cloned().unwrap_or(Value::Object(Map::new()));
                fields.insert(key.clone(), merged(&before, value));
            }
        }
    }
    Value::Object(fields)
}
