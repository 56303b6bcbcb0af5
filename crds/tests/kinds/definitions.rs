//! The definitions as files, and what holds for all of their fields.

use std::path::Path;

use serde_json::Value;

use crate::support::{definitions, schema, walk};

#[test]
fn the_checked_in_files_and_those_of_the_chart_are_what_the_types_say() {
    for file in wovenet_crds::definition::files().expect("definitions") {
        for directory in ["", "../charts/wovenet/files/crds"] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory).join(&file.name);
            let content = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(content == file.content, "{} differs from the types; run `make crds`", path.display());
        }
    }
}

#[test]
fn every_text_list_and_map_has_a_bound() {
    let mut unbounded = Vec::new();
    for (kind, definition) in definitions() {
        walk(&kind, schema(&definition), &mut |path, fields| {
            let of_type = |name| fields.get("type").and_then(Value::as_str) == Some(name);
            let has = |key| fields.contains_key(key);
            let is_text = of_type("string") || has("x-kubernetes-int-or-string");
            let bounded = match () {
                () if is_text => has("maxLength") || has("enum") || has("format"),
                () if of_type("array") => has("maxItems"),
                () if has("additionalProperties") => has("maxProperties"),
                () => true,
            };
            if !bounded {
                unbounded.push(path.to_owned());
            }
        });
    }
    assert!(unbounded.is_empty(), "{unbounded:#?}");
}

#[test]
fn every_number_has_bounds() {
    // Counts that only the operator writes, and times that may be any number.
    let free =
        ["Site.status.agents", "Site.status.peers[].channels", "tolerationSeconds", "observedGeneration", "revision"];
    for (kind, definition) in definitions() {
        walk(&kind, schema(&definition), &mut |path, fields| {
            let is_number = fields.get("type").and_then(Value::as_str) == Some("integer");
            let bounded = fields.contains_key("minimum") && fields.contains_key("maximum");
            assert!(!is_number || bounded || free.iter().any(|free| path.contains(free)), "{path}");
        });
    }
}

#[test]
fn every_field_is_described() {
    let mut silent = Vec::new();
    for (kind, definition) in definitions() {
        walk(&kind, schema(&definition), &mut |path, fields| {
            let is_element = path.ends_with("[]") || path.ends_with("{}");
            let description = fields.get("description").and_then(Value::as_str).unwrap_or_default();
            if !is_element && (description.len() < 12 || !description.ends_with('.')) {
                silent.push(format!("{path}: {description:?}"));
            }
        });
    }
    assert!(silent.is_empty(), "{silent:#?}");
}

#[test]
fn every_list_says_how_it_is_merged() {
    for (kind, definition) in definitions() {
        walk(&kind, schema(&definition), &mut |path, fields| {
            let is_list = fields.get("type").and_then(Value::as_str) == Some("array");
            assert!(!is_list || fields.contains_key("x-kubernetes-list-type"), "{path}");
        });
    }
}

#[test]
fn short_names_category_and_columns_are_there() {
    for (kind, definition) in definitions() {
        let names = &definition["spec"]["names"];
        let short = match kind.as_str() {
            "Site" => "wsite",
            "ExposedApp" => "xapp",
            _ => "rapp",
        };
        assert_eq!(names["shortNames"], serde_json::json!([short]));
        assert_eq!(names["categories"], serde_json::json!(["wovenet"]));
        let columns = definition["spec"]["versions"][0]["additionalPrinterColumns"].as_array().expect("columns");
        for column in ["Ready", "Reason", "Age"] {
            assert!(columns.iter().any(|known| known["name"] == column), "{kind} has no column {column}");
        }
    }
}
