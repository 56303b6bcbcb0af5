//! Labels, selectors and references between objects.

use serde_json::Value;

use crate::helm::{NAMESPACE, of_kind, rendered_with_each_file, title};

const CLUSTER_WIDE: [&str; 3] = ["ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"];

#[test]
fn every_object_has_its_labels_and_its_namespace() {
    for (file, objects) in rendered_with_each_file() {
        for object in &objects {
            let metadata = &object["metadata"];
            for label in ["name", "instance", "component", "version", "part-of", "managed-by"] {
                let value = &metadata["labels"][format!("app.kubernetes.io/{label}")];
                assert!(value.is_string(), "{file}: {} has no label {label}", title(object));
            }
            let is_cluster_wide = CLUSTER_WIDE.iter().any(|kind| object["kind"] == *kind);
            let namespace = if is_cluster_wide { Value::Null } else { NAMESPACE.into() };
            assert_eq!(metadata["namespace"], namespace, "{file}: {}", title(object));
            assert!(metadata["name"].as_str().is_some_and(|name| name.len() <= 63), "{file}: {}", title(object));
        }
    }
}

#[test]
fn selectors_never_change_with_the_version_or_a_value() {
    for (file, objects) in rendered_with_each_file() {
        for deployment in of_kind(&objects, "Deployment") {
            let labels = deployment["spec"]["selector"]["matchLabels"].as_object().expect("labels");
            let names: Vec<&str> = labels.keys().map(String::as_str).collect();
            let stable = ["app.kubernetes.io/component", "app.kubernetes.io/instance", "app.kubernetes.io/name"];
            assert_eq!(names, stable, "{file}: {}", title(deployment));
        }
    }
}

#[test]
fn every_selector_finds_a_pod_of_the_chart_or_agents() {
    for (file, objects) in rendered_with_each_file() {
        let pods: Vec<&Value> = objects.iter().filter_map(pod_labels).collect();
        let agents = serde_json::json!({"app.kubernetes.io/name": "wovenet-agent"});
        for (object, selector) in
            objects.iter().flat_map(|object| selectors(object).into_iter().map(move |s| (object, s)))
        {
            let finds = |labels: &&Value| {
                let mut wanted = selector.as_object().expect("labels").iter();
                wanted.all(|(name, value)| labels.get(name) == Some(value))
            };
            assert!(selector == &agents || pods.iter().any(finds), "{file}: {}", title(object));
        }
    }
}

#[test]
fn every_service_account_is_made_or_named_by_the_values() {
    for (file, objects) in rendered_with_each_file() {
        let made = of_kind(&objects, "ServiceAccount");
        let wanted = objects.iter().filter_map(|object| crate::pods::pod(object)?["serviceAccountName"].as_str());
        for name in wanted {
            let is_made = made.iter().any(|account| account["metadata"]["name"] == name);
            assert!(is_made || file == "minimal-values.yaml" && name == "operator-of-mine", "{file}: {name}");
        }
        for binding in [of_kind(&objects, "RoleBinding"), of_kind(&objects, "ClusterRoleBinding")].concat() {
            let subject = &binding["subjects"][0];
            assert_eq!(subject["namespace"], NAMESPACE);
            assert!(made.iter().any(|account| account["metadata"]["name"] == subject["name"]), "{file}");
            let role = &binding["roleRef"];
            let kind = role["kind"].as_str().expect("a kind");
            assert!(of_kind(&objects, kind).iter().any(|found| found["metadata"]["name"] == role["name"]), "{file}");
        }
    }
}

fn pod_labels(object: &Value) -> Option<&Value> {
    match object["kind"].as_str()? {
        "Deployment" => Some(&object["spec"]["template"]["metadata"]["labels"]),
        _ => None,
    }
}

fn selectors(object: &Value) -> Vec<&Value> {
    let spec = &object["spec"];
    match object["kind"].as_str().unwrap_or_default() {
        "Service" => vec![&spec["selector"]],
        "Deployment" | "PodDisruptionBudget" | "PodMonitor" => vec![&spec["selector"]["matchLabels"]],
        "NetworkPolicy" => {
            let peers = ["ingress", "egress"].into_iter().flat_map(|way| spec[way].as_array().into_iter().flatten());
            let peers = peers.flat_map(|rule| [&rule["from"], &rule["to"]]).filter_map(Value::as_array).flatten();
            let selected = peers.map(|peer| &peer["podSelector"]["matchLabels"]);
            selected.chain([&spec["podSelector"]["matchLabels"]]).collect()
        }
        _ => Vec::new(),
    }
}
