//! What the chart's NetworkPolicies let reach agents and operator, judged as a network plugin would (NetworkPolicySpec of
//! networking.k8s.io/v1): no cluster of the tests enforces them.

use serde_json::{Map, Value};

use crate::helm::{of_kind, one, rendered};

/// The DaemonSet of agents as the operator renders it.
const AGENTS: &str = include_str!("../../operator/tests/planning/fixtures/daemon_set.yaml");

type Labels = Map<String, Value>;

fn labels(template: &Value) -> Labels {
    template.pointer("/metadata/labels").and_then(Value::as_object).cloned().expect("labels")
}

fn agent() -> Labels {
    labels(&serde_yaml::from_str::<Value>(AGENTS).expect("YAML")["spec"]["template"])
}

fn operator(objects: &[Value]) -> Labels {
    labels(&one(objects, "Deployment", "wovenet-operator")["spec"]["template"])
}

/// Whether a selector, `None` being one that is not there, selects a pod.
fn selects(selector: Option<&Value>, pod: &Labels) -> bool {
    let Some(selector) = selector else { return false };
    assert!(selector.get("matchExpressions").is_none(), "not judged here");
    let wanted = selector["matchLabels"].as_object();
    wanted.into_iter().flatten().all(|(key, value)| pod.get(key) == Some(value))
}

/// Whether something may reach a pod of the release's namespace: a pod there, or, without labels, anything else.
fn admits(objects: &[Value], pod: &Labels, from: Option<&Labels>, (port, protocol): (u64, &str)) -> bool {
    let policies = of_kind(objects, "NetworkPolicy");
    let of_pod: Vec<_> = policies.iter().filter(|policy| selects(policy["spec"].get("podSelector"), pod)).collect();
    let rules = of_pod.iter().flat_map(|policy| policy["spec"]["ingress"].as_array().into_iter().flatten());
    let admits = |rule: &Value| {
        let by_port = rule["ports"].as_array().expect("ports").iter().any(|named| {
            let first = named["port"].as_u64().expect("a number");
            let last = named["endPort"].as_u64().unwrap_or(first);
            named["protocol"] == protocol && (first..=last).contains(&port)
        });
        let by_source = rule["from"].as_array().is_none_or(|sources| {
            sources.iter().any(|source| {
                assert!(
                    source.get("namespaceSelector").is_none() && source.get("ipBlock").is_none(),
                    "not judged here"
                );
                from.is_some_and(|from| selects(source.get("podSelector"), from))
            })
        });
        by_port && by_source
    };
    of_pod.is_empty() || rules.into_iter().any(admits)
}

#[test]
fn other_sites_clients_and_monitors_reach_agents_and_only_the_operator_configures_them() {
    let objects = rendered(&["--set", "networkPolicy.enabled=true"]);
    let (agent, operator) = (agent(), operator(&objects));
    for open in [(51_820, "UDP"), (20_000, "TCP"), (24_999, "TCP"), (9_090, "TCP")] {
        assert!(admits(&objects, &agent, None, open), "{open:?}");
    }
    for closed in [(51_820, "TCP"), (25_000, "TCP"), (22, "TCP"), (9_443, "TCP")] {
        assert!(!admits(&objects, &agent, None, closed), "{closed:?}");
    }
    assert!(admits(&objects, &agent, Some(&operator), (9_443, "TCP")));
    assert!(!admits(&objects, &agent, Some(&agent), (9_443, "TCP")), "an agent configures no other");
}

#[test]
fn the_operator_is_reached_by_monitors_alone() {
    let objects = rendered(&["--set", "networkPolicy.enabled=true"]);
    let operator = operator(&objects);
    assert!(admits(&objects, &operator, None, (8_080, "TCP")));
    assert!(!admits(&objects, &operator, None, (9_443, "TCP")));
}

#[test]
fn ports_of_sites_can_be_named() {
    let more = "networkPolicy.enabled=true,networkPolicy.tunnelPorts={4500},networkPolicy.listenerPorts.first=30000,\
                networkPolicy.listenerPorts.last=30010";
    let objects = rendered(&["--set", more]);
    let agent = agent();
    assert!(admits(&objects, &agent, None, (4_500, "UDP")) && admits(&objects, &agent, None, (30_010, "TCP")));
    assert!(!admits(&objects, &agent, None, (51_820, "UDP")) && !admits(&objects, &agent, None, (20_000, "TCP")));
}
