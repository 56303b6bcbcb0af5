//! Agents as pods: restricted, without the Kubernetes API, and replaced at any time.

use std::time::Duration;

use data_encoding::BASE64;
use wovenet_tests::clusters::{PATIENCE_MINUTE, PodProcess};
use wovenet_tests::until::until;

use crate::by_hand::{self, AGENTS, agent_name, cluster_address};
use crate::installed::{SYSTEM, Sites};
use crate::stage::Stage;
use crate::world::World;

/// A client gets pages again this long after an agent was killed.
const BACK_WITHIN: Duration = Duration::from_secs(10);

fn running(name: &str) -> Stage {
    let stage = Stage::new(name).unwrap();
    let all = stage.steps.step("both sites run, a client gets pages", || {
        stage.web_and_client()?;
        by_hand::install(&stage)?;
        by_hand::use_as(&stage, "web")?;
        stage.first_page("web")
    });
    all.unwrap();
    stage
}

#[test]
fn an_agent_knows_its_limits_and_its_node_and_has_nothing_to_warn_of() {
    let stage = Stage::new("limits").unwrap();
    let sites = Sites::new(&stage).unwrap();
    sites.serve_web_with("agents: {resources: {limits: {cpu: '1', memory: 256Mi}}}").unwrap();
    let World { a, b } = stage.world;
    let pods = sites.agent_pods(a).unwrap();
    assert_eq!(pods.len(), 2, "{pods:?}");
    for pod in &pods {
        let log = a.logs(SYSTEM, pod).unwrap();
        assert!(log.contains(r#""receive_window_bytes":4194304"#), "not 1/64 of 256 MiB: {log}");
        assert!(!log.contains(r#""level":"WARN""#), "{log}");
        let threads = a.process(SYSTEM, pod, "wovenet-agent").unwrap().threads().unwrap();
        let of_tunnel = threads.iter().filter(|name| name.starts_with("tunnel-")).count();
        assert_eq!(of_tunnel, 1, "not for one core: {threads:?}");
        for node in ["b1", "b2"] {
            assert!(
                log.contains(&format!(r#""host":"{node}""#)),
                "b's agent is not named after its node {node}: {log}"
            );
        }
    }
    for pod in sites.agent_pods(b).unwrap() {
        let log = b.logs(SYSTEM, &pod).unwrap();
        assert!(!log.contains(r#""level":"WARN""#), "{log}");
    }
}

/// FAULTS row 95.
#[test]
fn fault_95_agents_start_again_while_the_api_server_and_the_operator_are_down() {
    let stage = Stage::new("no-api-server").unwrap();
    let sites = Sites::new(&stage).unwrap();
    sites.serve_web().unwrap();
    let a = &stage.world.a;
    let web = cluster_address(a, &stage.apps, "web").unwrap();
    let pods = sites.agent_pods(a).unwrap();
    let process = |pod: &String| a.process(SYSTEM, pod, "wovenet-agent").unwrap();
    let agents: Vec<_> = pods.iter().map(process).collect();
    let operators = |count: &str| {
        a.kubectl(&["-n", SYSTEM, "scale", "deployment/wovenet-operator", &format!("--replicas={count}")])?;
        a.rolled_out(SYSTEM, "deployment/wovenet-operator")
    };
    operators("0").unwrap();
    a.stop("kube-apiserver").unwrap();
    let killed: Vec<_> = agents.iter().map(PodProcess::kill).collect();
    let back = stage.steps.step("all agents killed without an API server → next page", || {
        until("pages come again", PATIENCE_MINUTE, || stage.page_at_node(&web).ok())
    });
    a.start("kube-apiserver").unwrap();
    let whole = stage.steps.step("API server started → a new RemoteApp is served", || {
        a.api_serves()?;
        a.recover()?;
        operators("2")?;
        a.apply(&stage.apps, &sites.remote_app("again", "ports: [{name: http, port: 80}]"))?;
        stage.first_page("again")
    });
    whole.unwrap();
    for one in killed {
        one.unwrap();
    }
    let (page, took) = back.unwrap().0;
    assert!(page.starts_with("web-"), "{page}");
    assert!(took <= BACK_WITHIN, "{took:?}");
    for pod in &pods {
        let restarts = || {
            let pod = a.get(SYSTEM, &format!("pod/{pod}")).ok()?;
            pod.pointer("/status/containerStatuses/0/restartCount")?.as_u64().filter(|count| *count == 1)
        };
        until("its kubelet tells that it began again", PATIENCE_MINUTE, restarts).unwrap();
    }
}

#[test]
fn a_changed_secret_reaches_the_running_agent() {
    let stage = running("changed-secret");
    let a = &stage.world.a;
    let secret = a.get(&stage.system, "secret/wovenet-agent").unwrap();
    let config = BASE64.decode(secret["data"]["config.yaml"].as_str().unwrap().as_bytes()).unwrap();
    let changed = String::from_utf8(config).unwrap().replace(":20000", ":20001");
    let patch = serde_json::json!({"stringData": {"config.yaml": changed}}).to_string();
    a.kubectl(&["-n", &stage.system, "patch", "secret", "wovenet-agent", "-p", &patch]).unwrap();
    // Makes the kubelet look at once, not after a minute.
    let pod = agent_name(&stage, a).unwrap();
    a.kubectl(&["-n", &stage.system, "annotate", "pod", &pod, "looked-at=now"]).unwrap();
    let applied = stage.steps.step("Secret changed → applied by the agent", || {
        until("the agent applies it", PATIENCE_MINUTE * 2, || {
            let log = a.logs(&stage.system, &pod).ok()?;
            log.contains("tcp:0.0.0.0:20001").then_some(())
        })
    });
    applied.unwrap();
}

#[test]
fn a_deleted_agent_serves_while_clients_are_sent_elsewhere_and_its_successor_is_the_same_site() {
    let stage = running("successor");
    let a = &stage.world.a;
    let old = agent_name(&stage, a).unwrap();
    a.kubectl(&["-n", &stage.system, "delete", "pod", &old, "--wait=false"]).unwrap();
    for _ in 0..3 {
        stage.page("web").unwrap();
    }
    let ending = a.get(&stage.system, &format!("pod/{old}")).unwrap();
    let ready = |condition: &serde_json::Value| condition["type"] == "Ready" && condition["status"] == "True";
    assert!(ending["metadata"]["deletionTimestamp"].is_string(), "{ending}");
    assert!(ending["status"]["conditions"].as_array().unwrap().iter().any(ready), "{ending}");
    let successor = stage.steps.step("deleted → its successor is ready", || {
        a.wait(&stage.system, &format!("pod/{old}"), "delete")?;
        let successor = || agent_name(&stage, a).ok().filter(|name| *name != old);
        let (name, _) = until("there is a successor", PATIENCE_MINUTE, successor)?;
        a.wait(&stage.system, &format!("pod/{name}"), "condition=Ready")
    });
    successor.unwrap();
    by_hand::use_as(&stage, "web").unwrap();
    stage.first_page("web").unwrap();
    let log = stage.world.b.logs(&stage.system, AGENTS).unwrap();
    assert!(!log.contains(r#""level":"WARN""#), "{log}");
}
