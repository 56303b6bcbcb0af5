//! What is taken away is gone in the data path within 2 s, what is given works, and nothing is left over.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use wovenet_tests::clusters::{Cluster, PATIENCE_MINUTE};
use wovenet_tests::until::until;

use crate::installed::{SYSTEM, Sites};
use crate::stage::Stage;

/// From a change to its effect: on new connections, and on open ones.
const EFFECT_WITHIN: Duration = Duration::from_secs(2);

fn works(stage: &Stage) -> bool {
    stage.page("web").is_ok_and(|page| page.starts_with("web-"))
}

/// Changes something, and measures from then until the client sees what is `wanted`.
fn measured(
    stage: &Stage,
    what: &str,
    change: impl FnOnce() -> anyhow::Result<()>,
    seen: impl Fn() -> anyhow::Result<Option<(u64, String)>>,
    wanted: &str,
) {
    let took = stage.steps.step(what, || {
        change()?;
        let changed = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
        let is_so = || seen().ok().flatten().filter(|(_, how)| how == wanted);
        let ((at, _), _) = until(what, PATIENCE_MINUTE, is_so)?;
        Ok(Duration::from_millis(at.saturating_sub(changed)))
    });
    let took = took.unwrap().0;
    println!("{what}: {wanted} {took:?} after the change");
    assert!(took <= EFFECT_WITHIN, "{what}: {took:?}");
}

/// Changes something and measures until new connections work, or do not.
fn takes_effect(stage: &Stage, what: &str, wanted: bool, change: impl FnOnce() -> anyhow::Result<()>) {
    let (before, after) = if wanted { ("fails", "works") } else { ("works", "fails") };
    let is_before = || stage.watched().ok().flatten().filter(|(_, how)| how == before);
    until("what was changed before shows", PATIENCE_MINUTE, is_before).unwrap();
    measured(stage, what, change, || stage.watched(), after);
}

/// Changes something and measures until a connection that is open then is reset.
fn cuts(stage: &Stage, what: &str, change: impl FnOnce() -> anyhow::Result<()>) {
    stage.hold().unwrap();
    measured(stage, what, change, || stage.held(), "ConnectionReset");
}

/// What somebody else has in the namespaces that a test changes, with its version.
fn foreign(cluster: &Cluster, namespaces: &[&str]) -> anyhow::Result<Vec<String>> {
    let version = |namespace: &&str| {
        cluster.kubectl(&[
            "-n",
            namespace,
            "get",
            "service/foreign",
            "configmap/foreign",
            "secret/foreign",
            "endpointslice/foreign",
            "-o",
            "custom-columns=K:.kind,V:.metadata.resourceVersion",
        ])
    };
    namespaces.iter().map(version).collect()
}

/// Puts there what [`foreign`] looks at; its labels say that it is the operator's.
fn put_foreign(cluster: &Cluster, namespace: &str, site: &str) -> anyhow::Result<()> {
    let metadata = format!(
        "metadata: {{name: foreign, labels: {{app.kubernetes.io/managed-by: wovenet-operator, wovenet.io/site: {site}, \
         app.kubernetes.io/part-of: wovenet}}}}"
    );
    let objects = format!(
        "apiVersion: v1\nkind: Service\n{metadata}\nspec: {{ports: [{{port: 80}}]}}\n---\n\
         apiVersion: v1\nkind: ConfigMap\n{metadata}\n---\napiVersion: v1\nkind: Secret\n{metadata}\n---\n\
         apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n{metadata}\naddressType: IPv4\nendpoints: []\n"
    );
    cluster.apply(namespace, &objects)
}

#[test]
fn narrowed_deleted_and_applied_again_takes_effect_within_two_seconds_and_leaves_nothing() {
    let stage = Stage::new("changes").unwrap();
    let sites = Sites::new(&stage).unwrap();
    sites.serve_web().unwrap();
    let (a, b) = (&stage.world.a, &stage.world.b);
    stage.watch("web").unwrap();
    let delete = |cluster: &Cluster, object: &str| cluster.kubectl(&["-n", &stage.apps, "delete", object]).map(drop);
    let gives_back = |what: &str| takes_effect(&stage, what, true, || sites.expose_web());
    cuts(&stage, "open connection when the ExposedApp is narrowed", || sites.expose_web_to("another"));
    gives_back("ExposedApp given back");
    takes_effect(&stage, "ExposedApp narrowed to another site", false, || sites.expose_web_to("another"));
    gives_back("ExposedApp given back");
    cuts(&stage, "open connection when the ExposedApp is deleted", || delete(b, "exposedapp/web"));
    gives_back("ExposedApp applied again");
    takes_effect(&stage, "ExposedApp deleted", false, || delete(b, "exposedapp/web"));
    gives_back("ExposedApp applied again");
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
    for namespace in [&stage.apps, SYSTEM] {
        put_foreign(a, namespace, &sites.name).unwrap();
    }
    let foreign = || foreign(a, &[&stage.apps, SYSTEM]).unwrap();
    let untouched = foreign();
    stage.watch("web").unwrap();
    let delete = || a.kubectl(&["-n", SYSTEM, "delete", &site]).map(drop);
    takes_effect(&stage, "Site deleted", false, delete);
    let selector = format!("wovenet.io/site={}", sites.name);
    let left =
        || a.kubectl(&["-n", SYSTEM, "get", "daemonsets,services,secrets", "-l", &selector, "-o", "name"]).unwrap();
    // Who is who outlives a Site as its key does; it is written once agents have told it.
    let outlives = ["identity", "peers"].map(|kept| format!("secret/{}-{kept}", sites.name));
    let is_foreign = |object: &str| object.ends_with("/foreign");
    let only_these = || left().lines().all(|object| is_foreign(object) || outlives.iter().any(|kept| kept == object));
    until("only what outlives it is left", PATIENCE_MINUTE, || only_these().then_some(())).unwrap();
    assert!(left().contains(&outlives[0]), "its key is kept");
    let told = a.get(&stage.apps, "remoteapp/web").unwrap().to_string();
    assert!(told.contains("SiteNotFound"), "{told}");
    sites.site(a, "").unwrap();
    stage.steps.step("Site applied again → page", || stage.first_page("web")).unwrap();
    sites.ready().unwrap();
    assert_eq!(id(), before);
    assert_eq!(foreign(), untouched);
    for namespace in [&stage.apps, SYSTEM] {
        let all = ["-n", namespace, "delete", "service,configmap,secret,endpointslice", "foreign"];
        a.kubectl(&all).unwrap();
    }
}

/// A copy of a RemoteApp's manifest for another namespace.
fn without_its_place(manifest: &str) -> String {
    let kept = |line: &&str| !["namespace:", "resourceVersion:", "uid:"].iter().any(|key| line.trim().starts_with(key));
    manifest.lines().filter(kept).map(|line| format!("{line}\n")).collect()
}

/// FAULTS row 114.
#[test]
fn fault_114_a_namespace_is_deleted_with_everything_in_it_and_others_go_on() {
    let stage = Stage::new("namespace").unwrap();
    let sites = Sites::new(&stage).unwrap();
    sites.serve_web().unwrap();
    let (a, b) = (&stage.world.a, &stage.world.b);
    let other = format!("{}-other", stage.apps);
    a.kubectl(&["create", "namespace", &other]).unwrap();
    let manifest = a.kubectl(&["-n", &stage.apps, "get", "remoteapp/web", "-o", "yaml"]).unwrap();
    a.apply(&other, &without_its_place(&manifest)).unwrap();
    a.wait(&other, "remoteapp/web", "condition=Ready").unwrap();
    let delete =
        |cluster: &Cluster, namespace: &str| cluster.kubectl(&["delete", "namespace", namespace, "--wait=false"]);
    stage.watch(&format!("web.{other}")).unwrap();
    takes_effect(&stage, "namespace of a RemoteApp deleted", false, || delete(a, &other).map(drop));
    stage
        .steps
        .step("all that was in it is gone", || a.wait("default", &format!("namespace/{other}"), "delete"))
        .unwrap();
    assert!(works(&stage));
    let document = a.get(SYSTEM, &format!("secret/{}-agent", sites.name)).unwrap();
    let config = document.pointer("/data/config.yaml").and_then(|text| text.as_str()).unwrap().to_owned();
    let config = data_encoding::BASE64.decode(config.as_bytes()).unwrap();
    let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(config["remoteApps"].as_array().map(Vec::len), Some(1), "no listener is left of it");
    cuts(&stage, "open connection when the namespace of an ExposedApp is deleted", || delete(b, &stage.apps).map(drop));
    let web = stage.page("web");
    assert!(web.is_err(), "{web:?}");
}
