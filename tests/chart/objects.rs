//! Every object is of a known kind and has no field that its kind does not know.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::helm::{chart, helm, rendered_with_each_file, succeeded, title, values_files};

#[test]
fn the_chart_is_without_a_warning_whatever_the_values() {
    for file in values_files() {
        succeeded(helm(&["lint", "--strict"], &["--values", file.to_str().expect("a path")]));
    }
    assert!(chart().join("values.schema.json").exists());
}

#[test]
fn every_object_reads_as_its_kind_and_loses_nothing() {
    for (file, objects) in rendered_with_each_file() {
        assert!(!objects.is_empty(), "{file}");
        for object in &objects {
            if let Err(error) = judge(object) {
                panic!("{file}: {}: {error}", title(object));
            }
        }
    }
}

#[test]
fn a_misspelt_or_wrong_field_is_found() {
    let service = |port: &str| {
        let text = format!("{{apiVersion: v1, kind: Service, metadata: {{name: a}}, spec: {{ports: [{port}]}}}}");
        judge(&serde_yaml::from_str(&text).expect("YAML"))
    };
    assert_eq!(service("{port: 80}"), Ok(()));
    assert_eq!(service("{port: 80, targetPrt: 8080}"), Err(".spec.ports[0].targetPrt is lost".to_owned()));
    assert!(service("{port: eighty}").is_err());
    assert_eq!(service("{port: 80, name: null}"), Err(".spec.ports[0].name is lost".to_owned()));
}

fn judge(object: &Value) -> Result<(), String> {
    let kind = (object["apiVersion"].as_str().unwrap_or_default(), object["kind"].as_str().unwrap_or_default());
    match kind {
        ("v1", "ConfigMap") => read_back::<ConfigMap>(object),
        ("v1", "Pod") => read_back::<Pod>(object),
        ("v1", "Service") => read_back::<Service>(object),
        ("v1", "ServiceAccount") => read_back::<ServiceAccount>(object),
        ("apps/v1", "Deployment") => read_back::<Deployment>(object),
        ("networking.k8s.io/v1", "NetworkPolicy") => read_back::<NetworkPolicy>(object),
        ("policy/v1", "PodDisruptionBudget") => read_back::<PodDisruptionBudget>(object),
        ("rbac.authorization.k8s.io/v1", "ClusterRole") => read_back::<ClusterRole>(object),
        ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding") => read_back::<ClusterRoleBinding>(object),
        ("rbac.authorization.k8s.io/v1", "Role") => read_back::<Role>(object),
        ("rbac.authorization.k8s.io/v1", "RoleBinding") => read_back::<RoleBinding>(object),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition") => read_back::<CustomResourceDefinition>(object),
        ("monitoring.coreos.com/v1", "ServiceMonitor" | "PodMonitor") => read_back::<Monitor>(object),
        other => Err(format!("{other:?} is no kind that this test knows")),
    }
}

/// Reads the object as its type and compares: what the type does not know is lost on the way.
fn read_back<T: DeserializeOwned + Serialize>(object: &Value) -> Result<(), String> {
    let typed: T = serde_json::from_value(object.clone()).map_err(|error| error.to_string())?;
    let back = serde_json::to_value(typed).map_err(|error| error.to_string())?;
    contained("", object, &back)
}

fn contained(path: &str, written: &Value, read: &Value) -> Result<(), String> {
    match (written, read) {
        (Value::Object(written), Value::Object(read)) => written.iter().try_for_each(|(name, value)| {
            let path = format!("{path}.{name}");
            contained(&path, value, read.get(name).ok_or_else(|| format!("{path} is lost"))?)
        }),
        (Value::Array(written), Value::Array(read)) if written.len() == read.len() => {
            let mut pairs = written.iter().zip(read).enumerate();
            pairs.try_for_each(|(index, (written, read))| contained(&format!("{path}[{index}]"), written, read))
        }
        (Value::Number(written), Value::Number(read)) if written.as_f64() == read.as_f64() => Ok(()),
        (written, read) if written == read => Ok(()),
        (written, read) => Err(format!("{path} is {written}, and is read as {read}")),
    }
}

/// The part of ServiceMonitor and PodMonitor that the chart uses.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Monitor {
    api_version: String,
    kind: String,
    metadata: Map<String, Value>,
    spec: MonitorSpec,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MonitorSpec {
    selector: k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector,
    #[serde(default)]
    pod_target_labels: Vec<String>,
    #[serde(default)]
    endpoints: Vec<MonitorEndpoint>,
    #[serde(default)]
    pod_metrics_endpoints: Vec<MonitorEndpoint>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct MonitorEndpoint {
    port: String,
    path: String,
    interval: String,
    #[serde(default)]
    relabelings: Vec<Relabeling>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Relabeling {
    source_labels: Vec<String>,
    target_label: String,
}
