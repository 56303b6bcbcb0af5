//! The life of a release: upgrade, rollback, uninstall with definitions and objects kept, and installed again.

use wovenet_tests::clusters::PATIENCE_MINUTE;
use wovenet_tests::until::until;

use crate::by_hand::cluster_address;
use crate::installed::{RELEASE, SYSTEM, Sites, helm};
use crate::stage::Stage;

#[test]
fn a_release_is_upgraded_rolled_back_removed_and_installed_again_while_pages_come() {
    let stage = Stage::new("release").unwrap();
    let sites = Sites::new(&stage).unwrap();
    sites.serve_web().unwrap();
    let a = &stage.world.a;
    let replicas = || {
        let list = a.list(SYSTEM, "deployments", "app.kubernetes.io/component=operator").ok()?;
        list.first()?.pointer("/status/readyReplicas")?.as_u64()
    };
    // The cluster's own DNS is not what is tried here.
    let address = cluster_address(a, &stage.apps, "web").unwrap();
    let works = || stage.page(&address).unwrap().starts_with("web-");
    stage.steps.step("helm upgrade", || helm(a, &["upgrade"], &["operator.replicas=1"])).unwrap();
    until("one operator", PATIENCE_MINUTE, || (replicas() == Some(1)).then_some(())).unwrap();
    assert!(works());
    stage
        .steps
        .step("helm rollback", || a.helm(&["rollback", RELEASE, "-n", SYSTEM, "--wait", "--timeout", "90s"]))
        .unwrap();
    until("two operators", PATIENCE_MINUTE, || (replicas() == Some(2)).then_some(())).unwrap();
    assert!(works());
    stage.steps.step("helm test", || a.helm(&["test", RELEASE, "-n", SYSTEM, "--timeout", "90s"])).unwrap();
    stage
        .steps
        .step("helm uninstall", || a.helm(&["uninstall", RELEASE, "-n", SYSTEM, "--wait", "--timeout", "90s"]))
        .unwrap();
    let kept = a
        .kubectl(&["get", "crd", "sites.wovenet.io", "exposedapps.wovenet.io", "remoteapps.wovenet.io", "-o", "name"])
        .unwrap();
    assert_eq!(kept.lines().count(), 3);
    a.get(&stage.apps, "remoteapp/web").unwrap();
    assert!(works(), "agents go on without an operator");
    stage.steps.step("helm install again", || helm(a, &["install"], &[])).unwrap();
    sites.ready().unwrap();
    assert!(works());
}
