//! What the operator sees of the cluster comes late, twice, in the wrong order, or not at all for a while.

use serde_json::json;

use crate::api_server::Way;
use crate::scene::{APPS, Scene, until};

/// The kinds that are watched.
const WATCHED: [&str; 10] = [
    "sites",
    "exposedapps",
    "remoteapps",
    "services",
    "endpointslices",
    "namespaces",
    "nodes",
    "pods",
    "secrets",
    "daemonsets",
];

/// Does something that ends every watch, and waits until all are there again.
async fn watched_anew(scene: &Scene, fault: impl FnOnce()) {
    let before = WATCHED.map(|kind| scene.server.watches(kind));
    fault();
    let again = || WATCHED.iter().zip(before).all(|(kind, before)| scene.server.watches(kind) > before);
    until("every kind is watched again", again).await;
}

/// FAULTS row 96.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_96_watches_that_drop_expire_or_tell_only_bookmarks_cost_no_write() {
    let scene = Scene::new().await;
    scene.uses("db", 5432);
    let _operator = scene.operator("one").await;
    scene.serves("db").await;
    let (writes, revision) = (scene.quiet().await, scene.agent.revision());
    watched_anew(&scene, || scene.server.drop_watches(0)).await;
    scene.quiet().await;
    scene.unmoved(writes, revision);
    watched_anew(&scene, || scene.server.drop_watches(10)).await;
    scene.quiet().await;
    scene.unmoved(writes, revision);
    let nobodys = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other", "namespace": APPS}});
    scene.server.put("configmaps", nobodys);
    watched_anew(&scene, || scene.server.drop_watches(0)).await;
    scene.quiet().await;
    scene.unmoved(writes, revision);
    scene.was_listed_ever_since("db");
    scene.uses("cache", 6379);
    scene.serves("cache").await;
}

/// FAULTS row 96.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_96_what_changed_while_nothing_was_seen_is_made_up_for() {
    let scene = Scene::new().await;
    scene.uses("db", 5432);
    scene.uses("cache", 6379);
    let operator = scene.operator("one").await;
    scene.serves("db").await;
    scene.serves("cache").await;
    let socket = scene.agent.local_sockets();
    scene.quiet().await;
    watched_anew(&scene, || {
        scene.server.set_way(operator.door, Way::Hangs);
        // The versions that watches know are too old afterwards: what is gone shows only in lists.
        scene.server.drop_watches(10);
        scene.server.remove("remoteapps", APPS, "cache");
        scene.uses("queue", 5672);
        scene.server.set_way(operator.door, Way::Open);
    })
    .await;
    scene.serves("queue").await;
    until("the Service of cache is gone", || scene.server.get("services", APPS, "cache").is_none()).await;
    until("the slice of cache is gone", || scene.server.get("endpointslices", APPS, "cache-wovenet-ipv4").is_none())
        .await;
    let as_before = || scene.agent.local_sockets().iter().filter(|now| socket.contains(now)).count();
    until("cache listens no more", || as_before() < 2).await;
    assert_eq!(as_before(), 1, "db listens as before");
    assert_eq!(scene.history("services", "db", "/spec").len(), 1);
    scene.was_listed_ever_since("db");
}

/// FAULTS row 96.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_96_events_that_come_twice_and_after_what_overtook_them_take_nothing_back() {
    let scene = Scene::new().await;
    scene.uses("db", 1);
    let _operator = scene.operator("one").await;
    scene.serves("db").await;
    scene.quiet().await;
    scene.server.repeat_events();
    for port in 2..8 {
        scene.uses("db", port);
        let is_so = || scene.history("services", "db", "/spec/ports/0/port").last() == Some(&json!(port));
        until("the Service has the port", is_so).await;
    }
    let writes = scene.quiet().await;
    let ports: Vec<_> = scene.history("services", "db", "/spec/ports/0/port");
    assert_eq!(ports, (1..8).map(|port| json!(port)).collect::<Vec<_>>());
    scene.was_listed_ever_since("db");
    watched_anew(&scene, || scene.server.drop_watches(0)).await;
    scene.quiet().await;
    scene.unmoved(writes, scene.agent.revision());
}
