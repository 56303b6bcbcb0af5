//! Rights: exactly what the design grants, and not a verb more.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::helm::{of_kind, one, rendered, rendered_with_each_file, title};

const READ: &str = "get list watch";
const OWN: &str = "create delete get list patch watch";

#[test]
fn the_operator_has_the_rights_of_the_design_in_the_whole_cluster() {
    let objects = rendered(&[]);
    let rights = rights(one(&objects, "ClusterRole", "wovenet-operator"));
    let wanted = [
        ("/namespaces", READ),
        ("/nodes", READ),
        ("/pods", READ),
        ("/services", OWN),
        ("discovery.k8s.io/endpointslices", OWN),
        ("discovery.k8s.io/endpointslices/restricted", "create"),
        ("events.k8s.io/events", "create patch"),
        ("wovenet.io/exposedapps", READ),
        ("wovenet.io/exposedapps/status", "patch update"),
        ("wovenet.io/remoteapps", READ),
        ("wovenet.io/remoteapps/status", "patch update"),
        ("wovenet.io/sites", READ),
        ("wovenet.io/sites/status", "patch update"),
    ];
    assert_eq!(rights, owned(&wanted));
}

#[test]
fn the_operator_reaches_secrets_daemon_sets_and_leases_of_its_own_namespace_only() {
    let objects = rendered(&[]);
    let rights = rights(one(&objects, "Role", "wovenet-operator"));
    let wanted = [("/secrets", OWN), ("apps/daemonsets", OWN), ("coordination.k8s.io/leases", "create get update")];
    assert_eq!(rights, owned(&wanted));
}

#[test]
fn whoever_may_edit_a_namespace_may_change_apps_and_no_site() {
    let objects = rendered(&[]);
    let change = "create delete deletecollection patch update";
    let role = |name| rights(one(&objects, "ClusterRole", name));
    let kinds = |verbs| {
        owned(&[("wovenet.io/exposedapps", verbs), ("wovenet.io/remoteapps", verbs), ("wovenet.io/sites", verbs)])
    };
    assert_eq!(role("wovenet-view"), kinds(READ));
    assert_eq!(role("wovenet-edit"), owned(&[("wovenet.io/exposedapps", change), ("wovenet.io/remoteapps", change)]));
    assert_eq!(role("wovenet-admin"), kinds(change));
    for name in ["view", "edit", "admin"] {
        let labels = &one(&objects, "ClusterRole", &format!("wovenet-{name}"))["metadata"]["labels"];
        let aggregated: Vec<_> =
            labels.as_object().expect("labels").keys().filter(|label| label.contains("aggregate-to")).collect();
        assert_eq!(aggregated, [&format!("rbac.authorization.k8s.io/aggregate-to-{name}")]);
    }
}

#[test]
fn no_role_has_a_wildcard_or_gives_rights() {
    for (file, objects) in rendered_with_each_file() {
        for role in [of_kind(&objects, "ClusterRole"), of_kind(&objects, "Role")].concat() {
            let text = role["rules"].to_string();
            for word in ["*", "escalate", "bind", "impersonate", "pods/exec", "rbac.authorization.k8s.io"] {
                assert!(!text.contains(&format!("\"{word}\"")), "{file}: {} has {word}", title(role));
            }
        }
    }
}

/// Returns the sorted verbs by group and resource.
fn rights(role: &Value) -> BTreeMap<String, String> {
    let texts = |value: &Value| -> Vec<String> { serde_json::from_value(value.clone()).expect("texts") };
    let mut rights = BTreeMap::new();
    for rule in role["rules"].as_array().expect("rules") {
        let mut verbs = texts(&rule["verbs"]);
        verbs.sort();
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                let before = rights.insert(format!("{group}/{resource}"), verbs.join(" "));
                assert_eq!(before, None, "{group}/{resource} is named twice");
            }
        }
    }
    rights
}

fn owned(rights: &[(&str, &str)]) -> BTreeMap<String, String> {
    rights.iter().map(|(resource, verbs)| ((*resource).to_owned(), (*verbs).to_owned())).collect()
}
