//! What is made only sometimes.

use crate::helm::{of_kind, one, rendered, rendered_without_monitors};

#[test]
fn monitors_are_made_only_when_the_cluster_knows_them_and_they_are_wanted() {
    let count =
        |objects: &[serde_json::Value]| ["ServiceMonitor", "PodMonitor"].map(|kind| of_kind(objects, kind).len());
    assert_eq!(count(&rendered(&[])), [1, 1]);
    assert_eq!(count(&rendered(&["--set", "metrics.serviceMonitor.enabled=false"])), [0, 1]);
    assert_eq!(count(&rendered_without_monitors()), [0, 0]);
}

#[test]
fn the_disruption_budget_never_holds_up_a_node_with_the_only_replica() {
    let count = |replicas: &str| {
        of_kind(&rendered(&["--set", &format!("operator.replicas={replicas}")]), "PodDisruptionBudget").len()
    };
    assert_eq!(["0", "1", "2", "3"].map(count), [0, 0, 1, 1]);
}

#[test]
fn network_policies_and_the_broker_come_only_on_request() {
    let objects = rendered(&[]);
    assert_eq!(of_kind(&objects, "NetworkPolicy").len(), 0);
    assert_eq!(of_kind(&objects, "ConfigMap").len(), 0);
    let objects = rendered(&["--set", "networkPolicy.enabled=true,broker.enabled=true"]);
    assert_eq!(of_kind(&objects, "NetworkPolicy").len(), 2);
    let broker = one(&objects, "Service", "wovenet-broker");
    assert_eq!(broker["spec"]["type"], "ClusterIP");
    assert_eq!(broker["spec"]["ports"][0]["nodePort"], serde_json::Value::Null);
}

#[test]
fn names_follow_the_release_unless_they_are_given() {
    let objects = rendered(&["--set", "fullnameOverride=tunnel"]);
    one(&objects, "Deployment", "tunnel-operator");
    one(&objects, "ServiceAccount", "tunnel-operator");
    one(&objects, "ClusterRoleBinding", "tunnel-operator");
}
