//! Two replicas, of which one writes at any time.

use std::time::Instant;

use serde_json::{Value, json};
use wovenet_operator::leader::{LEASE, LEASE_DURATION};
use wovenet_operator::names;

use crate::api_server::Way;
use crate::scene::{APPS, SYSTEM, Scene, until};

fn holder(scene: &Scene) -> Option<String> {
    let lease = scene.server.get("leases", SYSTEM, LEASE)?;
    lease.pointer("/spec/holderIdentity")?.as_str().map(str::to_owned)
}

async fn held_by(scene: &Scene, name: &str) {
    until(&format!("{name} leads"), || holder(scene).as_deref() == Some(name)).await;
}

/// Which doors the writes came through, each once in a row.
fn doors(scene: &Scene, since: usize) -> Vec<usize> {
    let mut doors: Vec<usize> = scene.server.writes(since).iter().map(|write| write.door).collect();
    doors.dedup();
    doors
}

/// FAULTS row 108.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_108_a_leader_that_is_cut_off_stops_before_another_writes_and_there_is_no_duel_afterwards() {
    cut_off(Way::Hangs).await;
}

/// FAULTS row 108. Whatever else the leader could write, it may not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_108_a_leader_that_cannot_renew_its_lease_stops_though_it_reaches_everything_else() {
    cut_off(Way::LeasesHang).await;
}

async fn cut_off(way: Way) {
    let scene = Scene::new().await;
    scene.uses("db", 1);
    let one = scene.operator("one").await;
    held_by(&scene, "one").await;
    let two = scene.operator("two").await;
    scene.serves("db").await;
    let before = scene.quiet().await;
    let cut = Instant::now();
    scene.server.set_way(one.door, way);
    held_by(&scene, "two").await;
    let took = cut.elapsed();
    assert!(took < LEASE_DURATION + LEASE_DURATION / 2, "{took:?}");
    scene.uses("db", 2);
    let has = |port: u16| scene.history("services", "db", "/spec/ports/0/port").last() == Some(&json!(port));
    until("two has written", || has(2)).await;
    // One hears again, sees every change, and writes nothing.
    scene.server.set_way(one.door, Way::Open);
    for port in 3..6 {
        scene.uses("db", port);
        until("it is written", || has(port)).await;
    }
    scene.quiet().await;
    assert_eq!(doors(&scene, before), [two.door]);
    let managers: Vec<_> = scene.server.writes(0).into_iter().filter(|write| write.method == "PATCH").collect();
    assert!(managers.iter().all(|write| write.manager.as_deref() == Some(names::FIELD_MANAGER)), "{managers:?}");
    assert!(!one.task.is_finished(), "it waits to lead again");
    two.stops().await;
    held_by(&scene, "one").await;
    scene.uses("db", 6);
    until("one writes", || has(6)).await;
}

/// FAULTS row 108.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_108_a_leader_whose_lease_was_taken_writes_nothing_more() {
    let scene = Scene::new().await;
    scene.uses("db", 1);
    let one = scene.operator("one").await;
    scene.serves("db").await;
    let writes = scene.quiet().await;
    let mut lease: Value = scene.server.get("leases", SYSTEM, LEASE).unwrap();
    lease["spec"]["holderIdentity"] = json!("somebody else");
    let taken = Instant::now();
    scene.server.put("leases", lease);
    until("a renewal was due", || taken.elapsed() > LEASE_DURATION / 2).await;
    scene.uses("db", 2);
    assert_eq!(holder(&scene).as_deref(), Some("somebody else"));
    // Somebody else does not renew: the Lease runs out, and only then it is written.
    until("the Service has the port", || scene.history("services", "db", "/spec/ports/0/port").len() == 2).await;
    let first = scene.server.writes(writes).first().unwrap().at;
    assert!(first.duration_since(taken) >= LEASE_DURATION, "{:?}", first.duration_since(taken));
    assert_eq!(holder(&scene).as_deref(), Some("one"));
    one.stops().await;
    assert_eq!(holder(&scene), None, "it is given back at once");
    assert!(scene.server.get("services", APPS, "db").is_some());
}
