//! What is taken away is gone in the data path within 2 s, what is given works, and nothing is left over.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use wovenet_tests::clusters::PATIENCE_MINUTE;
use wovenet_tests::until::until;

use crate::installed::{SYSTEM, Sites};
use crate::stage::Stage;

/// From a change to its effect on a new connection.
const EFFECT_WITHIN: Duration = Duration::from_secs(2);
/// What asking whether it has taken effect may add: kubectl in a pod takes long on a busy machine.
const ASKING: Duration = Duration::from_secs(1);

fn works(stage: &Stage) -> bool {
    stage.page("web").is_ok_and(|page| page.starts_with("web-"))
}

/// Changes something and measures until new connections work, or do not.
fn takes_effect(stage: &Stage, what: &str, wanted: bool, change: impl FnOnce() -> anyhow::Result<()>) {
    let measured = stage.steps.step(what, || {
        change()?;
        let start = Instant::now();
        until(what, PATIENCE_MINUTE, || (works(stage) == wanted).then_some(()))?;
        Ok(start.elapsed())
    });
    let took = measured.unwrap().0;
    assert!(took <= EFFECT_WITHIN + ASKING, "{what}: {took:?}");
}

/// Opens a connection of the client that the app never ends.
fn hold(stage: &Stage) {
    let script =
        "rm -f /tmp/held; probe hold web 80 >/tmp/held 2>&1 & until grep -q open /tmp/held; do usleep 20000; done";
    stage.world.a.execute(&stage.apps, "client", &["timeout", "30", "sh", "-c", script]).unwrap();
}

/// Changes something and measures until the held connection is reset.
fn cuts(stage: &Stage, what: &str, change: impl FnOnce() -> anyhow::Result<()>) {
    let measured = stage.steps.step(what, || {
        change()?;
        let changed = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let held = || stage.world.a.execute(&stage.apps, "client", &["sed", "-n", "2p", "/tmp/held"]).ok();
        let ended = || held().filter(|line| !line.trim().is_empty());
        let (line, _) = until(what, PATIENCE_MINUTE, ended)?;
        let (at, how) = line.trim().split_once(' ').context("a time and how")?;
        anyhow::ensure!(how == "ConnectionReset", "it ended by {how}");
        Ok(Duration::from_millis(at.parse()?).saturating_sub(changed))
    });
    let took = measured.unwrap().0;
    println!("{what}: reset {took:?} after the change");
    assert!(took <= EFFECT_WITHIN, "{what}: {took:?}");
}

#[test]
fn narrowed_deleted_and_applied_again_takes_effect_within_two_seconds_and_leaves_nothing() {
    let stage = Stage::new("changes").unwrap();
    let sites = Sites::new(&stage).unwrap();
    sites.serve_web().unwrap();
    let (a, b) = (&stage.world.a, &stage.world.b);
    hold(&stage);
    cuts(&stage, "open connection when the ExposedApp is narrowed", || sites.expose_web_to("another"));
    takes_effect(&stage, "ExposedApp given back", true, || sites.expose_web());
    takes_effect(&stage, "ExposedApp narrowed to another site", false, || sites.expose_web_to("another"));
    takes_effect(&stage, "ExposedApp given back", true, || sites.expose_web());
    let delete = |cluster: &wovenet_tests::clusters::Cluster, object: &str| {
        cluster.kubectl(&["-n", &stage.apps, "delete", object]).map(drop)
    };
    hold(&stage);
    cuts(&stage, "open connection when the ExposedApp is deleted", || delete(b, "exposedapp/web"));
    takes_effect(&stage, "ExposedApp applied again", true, || sites.expose_web());
    takes_effect(&stage, "ExposedApp deleted", false, || delete(b, "exposedapp/web"));
    takes_effect(&stage, "ExposedApp applied again", true, || sites.expose_web());
    takes_effect(&stage, "RemoteApp deleted", false, || delete(a, "remoteapp/web"));
    let left = || a.kubectl(&["-n", &stage.apps, "get", "services,endpointslices", "-o", "name"]).unwrap();
    until("its Service and slices are gone", PATIENCE_MINUTE, || left().trim().is_empty().then_some(())).unwrap();
    // Not measured: the cluster's DNS remembers for seconds that there was no such name.
    sites.use_web().unwrap();
    stage.steps.step("RemoteApp applied again → page", || stage.first_page("web")).unwrap();
}

#[test]
fn a_site_that_is_deleted_and_applied_again_is_the_same_site() {
    let stage = Stage::new("again").unwrap();
    let sites = Sites::new(&stage).unwrap();
    sites.serve_web().unwrap();
    let a = &stage.world.a;
    let site = format!("site/{}", sites.name);
    let id = || a.get(SYSTEM, &site).unwrap().pointer("/status/siteId").cloned();
    let before = id();
    a.kubectl(&["-n", SYSTEM, "delete", &site]).unwrap();
    let selector = format!("wovenet.io/site={}", sites.name);
    let left =
        || a.kubectl(&["-n", SYSTEM, "get", "daemonsets,services,secrets", "-l", &selector, "-o", "name"]).unwrap();
    // Who is who outlives a Site as its key does; it is written once agents have told it.
    let outlives = ["identity", "peers"].map(|kept| format!("secret/{}-{kept}", sites.name));
    let only_these = || left().lines().all(|object| outlives.iter().any(|kept| kept == object));
    until("only what outlives it is left", PATIENCE_MINUTE, || only_these().then_some(())).unwrap();
    assert!(left().contains(&outlives[0]), "its key is kept");
    let told = a.get(&stage.apps, "remoteapp/web").unwrap().to_string();
    assert!(told.contains("SiteNotFound"), "{told}");
    sites.site(a, "").unwrap();
    stage.steps.step("Site applied again → page", || stage.first_page("web")).unwrap();
    sites.ready().unwrap();
    assert_eq!(id(), before);
}

/// FAULTS row 114.
#[test]
fn fault_114_a_namespace_is_deleted_with_everything_in_it_and_others_go_on() {
    let stage = Stage::new("namespace").unwrap();
    let sites = Sites::new(&stage).unwrap();
    sites.serve_web().unwrap();
    let a = &stage.world.a;
    let other = format!("{}-other", stage.apps);
    a.kubectl(&["create", "namespace", &other]).unwrap();
    let manifest = a.kubectl(&["-n", &stage.apps, "get", "remoteapp/web", "-o", "yaml"]).unwrap();
    let kept = ["namespace:", "resourceVersion:", "uid:"];
    let copy: String = manifest
        .lines()
        .filter(|line| !kept.iter().any(|key| line.trim_start().starts_with(key)))
        .map(|line| format!("{line}\n"))
        .collect();
    a.apply(&other, &copy).unwrap();
    a.wait(&other, "remoteapp/web", "condition=Ready").unwrap();
    let deleted =
        stage.steps.step("namespace deleted", || a.kubectl(&["delete", "namespace", &other, "--timeout=60s"]));
    deleted.unwrap();
    assert!(works(&stage));
    let document = a.get(SYSTEM, &format!("secret/{}-agent", sites.name)).unwrap();
    let config = document.pointer("/data/config.yaml").and_then(|text| text.as_str()).unwrap().to_owned();
    let config = data_encoding::BASE64.decode(config.as_bytes()).unwrap();
    let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(config["remoteApps"].as_array().map(Vec::len), Some(1), "no listener is left of it");
}
