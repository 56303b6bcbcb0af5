//! Every pod fits the restricted pod security standard, and a little more.

use clap::Parser as _;
use serde_json::{Value, json};
use wovenet_operator::cli::{Arguments, Command, RunArguments};

use crate::helm::{one, rendered, rendered_with_each_file, title};

#[test]
fn every_pod_is_restricted() {
    let mut pods = 0;
    for (file, objects) in rendered_with_each_file() {
        for (object, pod) in objects.iter().filter_map(|object| Some((object, pod(object)?))) {
            pods += 1;
            let wrong = wrong(pod);
            assert!(wrong.is_empty(), "{file}: {}: {wrong:?}", title(object));
        }
    }
    assert!(pods >= 6, "{pods} pods");
}

#[test]
fn a_pod_that_is_not_restricted_is_found() {
    let objects = rendered(&[]);
    let pod = pod(one(&objects, "Deployment", "wovenet-operator")).expect("a pod");
    for (pointer, value) in [
        ("/hostNetwork", json!(true)),
        ("/securityContext/runAsNonRoot", json!(false)),
        ("/containers/0/securityContext/capabilities/drop", json!(["NET_RAW"])),
        ("/containers/0/securityContext/allowPrivilegeEscalation", json!(true)),
        ("/containers/0/ports/0/hostPort", json!(8080)),
        ("/volumes", json!([{"name": "a", "hostPath": {"path": "/"}}])),
    ] {
        let mut changed = pod.clone();
        set(&mut changed, pointer, value);
        assert_ne!(wrong(&changed), Vec::<&str>::new(), "{pointer}");
    }
}

#[test]
fn an_image_is_named_by_digest_or_by_the_apps_version() {
    let image = |options: &[&str]| {
        let objects = rendered(options);
        let pod = pod(one(&objects, "Deployment", "wovenet-operator")).expect("a pod");
        let container = &pod["containers"][0];
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        (text(&container["image"]), arguments(container).agent_image)
    };
    let version = env!("CARGO_PKG_VERSION");
    let (operator, agent) = image(&[]);
    assert_eq!(operator, format!("ghcr.io/wovenet/wovenet-operator:{version}"));
    assert_eq!(agent, format!("ghcr.io/wovenet/wovenet-agent:{version}"));

    let digest = format!("sha256:{}", "a".repeat(64));
    let (operator, _) = image(&["--set", &format!("operator.image.digest={digest},operator.image.tag=v1")]);
    assert_eq!(operator, format!("ghcr.io/wovenet/wovenet-operator@{digest}"));

    let (_, agent) =
        image(&["--set", "agent.image.registry=,agent.image.repository=localhost/agent,agent.image.tag=dev"]);
    assert_eq!(agent, "localhost/agent:dev");
}

#[test]
fn the_operator_understands_its_arguments() {
    for (file, objects) in rendered_with_each_file() {
        let name = if file == "minimal-values.yaml" { "tunnel-operator" } else { "wovenet-operator" };
        let pod = pod(one(&objects, "Deployment", name)).expect("a pod");
        let arguments = arguments(&pod["containers"][0]);
        assert_eq!(arguments.metrics_addr.port(), 8080, "{file}");
        let policy = if file == "minimal-values.yaml" { "Never" } else { "IfNotPresent" };
        assert_eq!(arguments.agent_pull_policy, policy, "{file}");
        let level = if file == "full-values.yaml" { "DEBUG" } else { "INFO" };
        assert_eq!(arguments.log_level.to_string(), level, "{file}");
    }
}

#[test]
fn helm_test_asks_the_operator_to_check() {
    let objects = rendered(&[]);
    let pod = pod(one(&objects, "Pod", "wovenet-check")).expect("a pod");
    assert_eq!(pod["containers"][0]["args"], json!(["check"]));
    assert_eq!(pod["serviceAccountName"], "wovenet-check");
    let role = one(&objects, "Role", "wovenet-check");
    assert_eq!(role["rules"][0]["resourceNames"], json!([wovenet_operator::leader::LEASE]));
}

/// Reads the arguments as the operator does.
fn arguments(container: &Value) -> RunArguments {
    let texts: Vec<String> = serde_json::from_value(container["args"].clone()).expect("texts");
    let program = ["wovenet-operator".to_owned()];
    match Arguments::try_parse_from(program.into_iter().chain(texts)).expect("arguments").command {
        Command::Run(arguments) => arguments,
        Command::Check(_) => panic!("check instead of run"),
    }
}

/// Returns the pod that an object has or is.
pub fn pod(object: &Value) -> Option<&Value> {
    match object["kind"].as_str()? {
        "Deployment" => Some(&object["spec"]["template"]["spec"]),
        "Pod" => Some(&object["spec"]),
        _ => None,
    }
}

fn wrong(pod: &Value) -> Vec<&'static str> {
    let context = &pod["securityContext"];
    let mut wrong = Vec::new();
    let mut must = |holds: bool, what| {
        if !holds {
            wrong.push(what)
        }
    };
    must(context["runAsNonRoot"] == true, "may run as root");
    must(context["runAsUser"].as_u64().is_some_and(|user| user > 0), "has no user");
    must(context["seccompProfile"]["type"] == "RuntimeDefault", "has no seccomp profile");
    for key in ["hostNetwork", "hostPID", "hostIPC"] {
        must(pod[key].is_null(), "uses a namespace of the host");
    }
    must(pod["automountServiceAccountToken"].is_boolean(), "does not say whether it needs a token");
    for volume in pod["volumes"].as_array().into_iter().flatten() {
        let known = ["configMap", "emptyDir", "secret", "projected"].iter().any(|kind| !volume[kind].is_null());
        must(known, "has a volume of the host");
    }
    for container in pod["containers"].as_array().into_iter().flatten() {
        let context = &container["securityContext"];
        must(context["allowPrivilegeEscalation"] == false, "may gain rights");
        must(context["readOnlyRootFilesystem"] == true, "may write its image");
        must(context["capabilities"] == json!({"drop": ["ALL"]}), "has capabilities");
        must(context["privileged"].is_null(), "is privileged");
        must(!container["resources"]["requests"]["memory"].is_null(), "asks for no memory");
        must(!container["resources"]["limits"]["memory"].is_null(), "has no limit of memory");
        let image = container["image"].as_str().unwrap_or_default();
        must(image.contains('@') || image.contains(':') && !image.ends_with(":latest"), "has no version");
        for port in container["ports"].as_array().into_iter().flatten() {
            must(port["hostPort"].is_null(), "has a port of the host");
        }
    }
    wrong
}

fn set(value: &mut Value, pointer: &str, new: Value) {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    value.pointer_mut(parent).expect("a parent")[name] = new;
}
