//! The definitions of the kinds in the chart.

use std::path::Path;

use serde_json::Value;

use crate::helm::{of_kind, rendered};

#[test]
fn the_definitions_are_those_of_the_types_whatever_is_added_to_their_metadata() {
    let objects = rendered(&[]);
    let definitions = of_kind(&objects, "CustomResourceDefinition");
    assert_eq!(definitions.len(), 3);
    for definition in definitions {
        let name = definition["metadata"]["name"].as_str().expect("a name");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../crds/{name}.yaml"));
        let file = std::fs::read_to_string(path).expect("a definition");
        let file: Value = serde_yaml::from_str(&file).expect("YAML");
        assert_eq!(definition["spec"], file["spec"], "{name}");
    }
}

#[test]
fn definitions_outlive_the_release_unless_that_is_not_wanted() {
    let policy = |options: &[&str]| {
        let objects = rendered(options);
        let definitions = of_kind(&objects, "CustomResourceDefinition").into_iter();
        let policies =
            definitions.map(|definition| definition["metadata"]["annotations"]["helm.sh/resource-policy"].clone());
        policies.collect::<Vec<Value>>()
    };
    assert_eq!(policy(&[]), ["keep", "keep", "keep"]);
    assert_eq!(policy(&["--set", "crds.keep=false"]), [Value::Null, Value::Null, Value::Null]);
    assert_eq!(policy(&["--set", "crds.enabled=false"]), Vec::<Value>::new());
}
