//! Agents as pods: restricted, without the Kubernetes API, and replaced at any time.

use std::time::Duration;

use data_encoding::BASE64;
use wovenet_tests::clusters::PATIENCE_MINUTE;
use wovenet_tests::until::until;

use crate::by_hand::{self, AGENTS, agent_name, cluster_address};
use crate::stage::Stage;

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
    let stage = running("limits");
    let a = &stage.world.a;
    let log = a.logs(&stage.system, AGENTS).unwrap();
    assert!(log.contains(r#""receive_window_bytes":4194304"#), "not 1/64 of 256 MiB: {log}");
    assert!(!log.contains(r#""level":"WARN""#), "{log}");
    assert!(log.contains(r#""host":"b1""#), "b's agent is not named after its node: {log}");
    let process = a.process(&stage.system, &agent_name(&stage, a).unwrap(), "wovenet-agent").unwrap();
    let threads = process.threads().unwrap();
    assert_eq!(threads.iter().filter(|name| name.starts_with("tunnel-")).count(), 1, "not for one core: {threads:?}");
}

#[test]
fn an_agent_starts_again_while_the_api_server_is_down() {
    let stage = running("no-api-server");
    let a = &stage.world.a;
    let web = cluster_address(a, &stage.apps, "web").unwrap();
    let process = a.process(&stage.system, &agent_name(&stage, a).unwrap(), "wovenet-agent").unwrap();
    a.stop("kube-apiserver").unwrap();
    let killed = process.kill();
    let back = stage.steps.step("killed without an API server → next page", || {
        until("pages come again", PATIENCE_MINUTE, || stage.page_at_node(&web).ok())
    });
    a.start("kube-apiserver").unwrap();
    let whole = stage.steps.step("API server started → new names are found again", || {
        a.api_serves()?;
        a.recover()?;
        by_hand::use_as(&stage, "again")?;
        stage.first_page("again")
    });
    whole.unwrap();
    killed.unwrap();
    let (page, took) = back.unwrap().0;
    assert!(page.starts_with("web-"), "{page}");
    assert!(took <= BACK_WITHIN, "{took:?}");
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
