//! The life of a release: upgrade, rollback, uninstall with definitions and objects kept, and installed again.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use serde_json::{Value, json};
use wovenet_tests::clusters::{self, Cluster, PATIENCE_MINUTE};
use wovenet_tests::until::until;

use crate::by_hand::cluster_address;
use crate::installed::{RELEASE, SYSTEM, Sites, chart, helm, helm_of};
use crate::stage::Stage;
use crate::world::FILES;

/// What the next version of the product has.
const NEXT_FIELD: &str = "triedField";
const NEXT_TAG: &str = "released";

const DEFINITIONS: [&str; 3] = ["sites.wovenet.io", "exposedapps.wovenet.io", "remoteapps.wovenet.io"];

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
    // There is one version so far: the next chart knows one more field, and names the same program otherwise.
    let next = next_chart().unwrap();
    clusters::tag("localhost/wovenet-agent:dev", &format!("localhost/wovenet-agent:{NEXT_TAG}")).unwrap();
    let values = ["operator.replicas=1", &format!("agent.image.tag={NEXT_TAG}")];
    let knows_field = || a.kubectl(&["explain", &format!("sites.spec.{NEXT_FIELD}")]).is_ok();
    let agents_are = |tag: &str| {
        let set = a.get(SYSTEM, &sites.agents()).ok()?;
        let image = set.pointer("/spec/template/spec/containers/0/image")?.as_str()?.to_owned();
        image.ends_with(&format!(":{tag}")).then_some(())
    };
    assert!(!knows_field());
    stage.steps.step("helm upgrade", || helm_of(a, &next, &["upgrade"], &values)).unwrap();
    until("one operator", PATIENCE_MINUTE, || (replicas() == Some(1)).then_some(())).unwrap();
    until("the next definitions", PATIENCE_MINUTE, || knows_field().then_some(())).unwrap();
    until("the next agents", PATIENCE_MINUTE, || agents_are(NEXT_TAG)).unwrap();
    assert!(works());
    a.rolled_out(SYSTEM, &sites.agents()).unwrap();
    assert!(works());
    stage
        .steps
        .step("helm rollback", || a.helm(&["rollback", RELEASE, "-n", SYSTEM, "--wait", "--timeout", "90s"]))
        .unwrap();
    until("two operators", PATIENCE_MINUTE, || (replicas() == Some(2)).then_some(())).unwrap();
    until("the definitions of before", PATIENCE_MINUTE, || (!knows_field()).then_some(())).unwrap();
    until("the agents of before", PATIENCE_MINUTE, || agents_are("dev")).unwrap();
    a.rolled_out(SYSTEM, &sites.agents()).unwrap();
    assert!(works());
    stage.steps.step("helm test", || a.helm(&["test", RELEASE, "-n", SYSTEM, "--timeout", "90s"])).unwrap();
    stage
        .steps
        .step("helm uninstall", || a.helm(&["uninstall", RELEASE, "-n", SYSTEM, "--wait", "--timeout", "90s"]))
        .unwrap();
    let kept = a.kubectl(&[&["get", "crd", "-o", "name"], &DEFINITIONS[..]].concat()).unwrap();
    assert_eq!(kept.lines().count(), 3);
    a.get(&stage.apps, "remoteapp/web").unwrap();
    assert!(works(), "agents go on without an operator");
    stage.steps.step("helm install again", || helm(a, &["install"], &[])).unwrap();
    sites.ready().unwrap();
    assert!(works());
}

/// Makes a chart that is this one with one more field of Sites.
fn next_chart() -> anyhow::Result<PathBuf> {
    let next = Path::new(FILES).join("next-chart");
    std::fs::remove_dir_all(&next).ok();
    let copied = Command::new("cp").arg("-r").arg(chart()).arg(&next).status()?;
    anyhow::ensure!(copied.success(), "the chart cannot be copied");
    let file = next.join("files/crds/sites.wovenet.io.yaml");
    let mut definition: Value = serde_yaml::from_str(&std::fs::read_to_string(&file)?)?;
    let fields = definition.pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties");
    fields.context("no fields")?[NEXT_FIELD] = json!({"type": "string", "description": "For a test."});
    std::fs::write(&file, serde_yaml::to_string(&definition)?)?;
    Ok(next)
}

/// Takes the definitions out of a cluster, with every object of theirs, and the release.
fn remove_all(a: &Cluster) -> anyhow::Result<()> {
    a.helm(&["uninstall", RELEASE, "-n", SYSTEM, "--wait", "--timeout", "90s"])?;
    a.kubectl(&[&["delete", "crd", "--timeout=60s"], &DEFINITIONS[..]].concat()).map(drop)
}

#[test]
fn the_definitions_applied_by_kubectl_alone_are_enough_for_a_release_without_them() {
    let stage = Stage::new("definitions").unwrap();
    let sites = Sites::new(&stage).unwrap();
    sites.serve_web().unwrap();
    let a = &stage.world.a;
    remove_all(a).unwrap();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds").display().to_string();
    a.kubectl(&["apply", "--server-side", "-f", &directory]).unwrap();
    for definition in DEFINITIONS {
        a.wait("default", &format!("crd/{definition}"), "condition=Established").unwrap();
    }
    // An API server lists a kind some moments after it serves it.
    let explained = || a.kubectl(&["explain", "sites.spec.expose.publicAddress"]).ok();
    let (explained, _) = until("fields are explained", PATIENCE_MINUTE, explained).unwrap();
    assert!(explained.contains("DESCRIPTION"), "{explained}");
    stage.steps.step("helm install without definitions", || helm(a, &["install"], &["crds.enabled=false"])).unwrap();
    sites.site(a, "").unwrap();
    sites.use_web().unwrap();
    stage.steps.step("Site and app applied → page", || stage.first_page("web")).unwrap();
    sites.ready().unwrap();
    // As it was for whoever comes next.
    remove_all(a).unwrap();
    helm(a, &["install"], &[]).unwrap();
}
