//! Runs helm on the chart, without a cluster.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde::Deserialize as _;
use serde_json::Value;

/// The release's namespace.
pub const NAMESPACE: &str = "wovenet-system";

/// Returns the chart's directory.
pub fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/wovenet")
}

/// Returns the files of values that the chart is tried with.
pub fn values_files() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(chart().join("ci")).expect("ci/");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    assert!(files.len() >= 4, "{files:?}");
    files
}

/// Runs helm with the chart after the command.
pub fn helm(command: &[&str], options: &[&str]) -> Output {
    let program = std::env::var_os("HELM").expect("HELM names the program; tests/chart.sh finds or builds it");
    Command::new(program)
        .args(command)
        .arg(chart())
        .args(options)
        .env("KUBECONFIG", "/nonexistent")
        .output()
        .expect("helm runs")
}

/// Renders the chart in a cluster that knows monitors, and returns the objects.
pub fn rendered(options: &[&str]) -> Vec<Value> {
    let mut all = vec!["--namespace", NAMESPACE, "--kube-version", "1.33.0"];
    all.extend(["--api-versions", "monitoring.coreos.com/v1/ServiceMonitor"]);
    all.extend(["--api-versions", "monitoring.coreos.com/v1/PodMonitor"]);
    all.extend(options);
    objects(&succeeded(helm(&["template", "wovenet"], &all)))
}

/// Renders the chart in a cluster without monitors.
pub fn rendered_without_monitors() -> Vec<Value> {
    objects(&succeeded(helm(&["template", "wovenet"], &["--namespace", NAMESPACE])))
}

/// Renders the chart with each file of values.
pub fn rendered_with_each_file() -> Vec<(String, Vec<Value>)> {
    let render = |file: PathBuf| {
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        (name, rendered(&["--values", file.to_str().expect("a path")]))
    };
    values_files().into_iter().map(render).collect()
}

/// Returns what helm wrote, or panics with what it complained of.
pub fn succeeded(output: Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Finds the objects of a kind.
pub fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

/// Finds the one object of a kind with a name.
pub fn one<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found: Vec<_> =
        of_kind(objects, kind).into_iter().filter(|object| object["metadata"]["name"] == name).collect();
    assert_eq!(found.len(), 1, "{kind} {name}");
    found[0]
}

/// Names an object for messages.
pub fn title(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    format!("{} {}", text(&object["kind"]), text(&object["metadata"]["name"]))
}

fn objects(yaml: &str) -> Vec<Value> {
    let documents = serde_yaml::Deserializer::from_str(yaml);
    let values = documents.map(|document| Value::deserialize(document).expect("YAML"));
    values.filter(|value| !value.is_null()).collect()
}
