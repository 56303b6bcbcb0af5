//! Values: each is described, and a misspelt one is refused.

use serde_json::Value;

use crate::helm::{NAMESPACE, chart, helm};

#[test]
fn every_value_is_described_where_people_look() {
    let readme = read("README.md");
    let schema: Value = serde_json::from_str(&read("values.schema.json")).expect("a schema");
    let values: Value = serde_yaml::from_str(&read("values.yaml")).expect("values");
    for path in leaves("", &values) {
        // Resources and selectors are described as a whole.
        let path = [".resources", ".nodeSelector"]
            .iter()
            .find_map(|end| Some(format!("{}{end}", path.split_once(&format!("{end}."))?.0)))
            .unwrap_or(path);
        assert!(readme.contains(&format!("\n| `{path}` | ")), "README.md has no line of {path}");
        let pointer = path.split('.').map(|name| format!("/properties/{name}")).collect::<String>();
        let described = schema.pointer(&pointer).and_then(|schema| schema["description"].as_str());
        assert!(described.is_some_and(|text| text.ends_with('.')), "values.schema.json does not describe {path}");
    }
}

#[test]
fn the_readme_describes_no_value_that_is_gone() {
    let values: Value = serde_yaml::from_str(&read("values.yaml")).expect("values");
    let readme = read("README.md");
    let (_, table) = readme.split_once("\n## Values\n").expect("values");
    let paths: Vec<&str> =
        table.lines().filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0)).collect();
    assert!(paths.len() > 40, "{paths:?}");
    for path in paths {
        let pointer = format!("/{}", path.replace('.', "/"));
        assert!(values.pointer(&pointer).is_some(), "{path}");
    }
}

#[test]
fn a_misspelt_or_impossible_value_is_refused() {
    for set in [
        "replicas=3",
        "operator.replcas=3",
        "operator.replicas=-1",
        "operator.image.tga=1",
        "operator.image.digest=sha256:short",
        "operator.image.pullPolicy=Sometimes",
        "operator.logFormat=xml",
        "crds.kep=true",
        "metrics.podMonitor.interval=often",
        "networkPolicy.tunnelPorts={70000}",
        "broker.service.type=ExternalName",
        "serviceAccount.create=false",
    ] {
        let output = helm(&["template", "wovenet"], &["--namespace", NAMESPACE, "--set", set]);
        assert!(!output.status.success(), "{set} is taken");
    }
}

#[test]
fn the_versions_are_those_of_the_programs() {
    let chart: Value = serde_yaml::from_str(&read("Chart.yaml")).expect("Chart.yaml");
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
}

fn read(name: &str) -> String {
    std::fs::read_to_string(chart().join(name)).expect(name)
}

fn leaves(path: &str, value: &Value) -> Vec<String> {
    match value.as_object().filter(|fields| !fields.is_empty()) {
        None => vec![path.to_owned()],
        Some(fields) => {
            let dot = if path.is_empty() { "" } else { "." };
            fields.iter().flat_map(|(name, value)| leaves(&format!("{path}{dot}{name}"), value)).collect()
        }
    }
}
