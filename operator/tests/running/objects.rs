//! Objects that cannot be written, cannot be read, or go while they are needed.

use axum::http::StatusCode;
use serde_json::json;

use crate::api_server::Part;
use crate::scene::{APPS, SYSTEM, Scene, until};

/// The condition of a RemoteApp.
fn message(scene: &Scene, app: &str, type_: &str) -> String {
    scene.condition("remoteapps", APPS, app, type_)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_cannot_be_written_is_told_by_its_app_and_holds_up_no_other() {
    let scene = Scene::new().await;
    scene.server.spoil(Part::Object, "services", APPS, "refused", Some(StatusCode::FORBIDDEN));
    for name in ["hang1", "hang2", "hang3"] {
        scene.server.spoil(Part::Object, "services", APPS, name, None);
        scene.uses(name, 1);
    }
    scene.uses("refused", 1);
    let _operator = scene.operator("one").await;
    until("writes hang", || scene.server.writes(0).iter().any(|write| write.place.2 == "hang3")).await;
    scene.uses("good", 1);
    let begun = std::time::Instant::now();
    scene.serves("good").await;
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    until("it is told", || message(&scene, "refused", "Programmed").contains("Service refused cannot be written"))
        .await;
    until("it is told", || message(&scene, "hang1", "Programmed").contains("no answer")).await;
    assert!(!scene.is_ready("refused") && !scene.is_ready("hang1"));
    scene.server.mend();
    for name in ["refused", "hang1", "hang2", "hang3"] {
        scene.serves(name).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_of_a_site_that_is_deleted_while_its_agents_run_is_made_again_as_it_was() {
    let scene = Scene::new().await;
    scene.uses("db", 1);
    let _operator = scene.operator("one").await;
    scene.serves("db").await;
    let secret = || scene.server.get("secrets", SYSTEM, "home-identity").map(|secret| secret["data"].clone());
    let key = secret().unwrap();
    scene.quiet().await;
    scene.server.remove("secrets", SYSTEM, "home-identity");
    until("it is there again", || secret().is_some()).await;
    assert_eq!(secret(), Some(key));
    scene.was_listed_ever_since("db");
}

/// FAULTS row 100: what was stored by another version, or before a rule was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_100_an_object_that_cannot_be_read_stays_as_it_was_read_last_and_hurts_no_other() {
    let scene = Scene::new().await;
    scene.uses("db", 1);
    let operator = scene.operator("one").await;
    scene.serves("db").await;
    scene.quiet().await;
    let spoil = |resource: &str, namespace: &str, name: &str| {
        let mut object = scene.server.get(resource, namespace, name).unwrap();
        let good = object.clone();
        object["spec"] = json!({"from": "a version to come"});
        scene.server.put(resource, object);
        good
    };
    let good = spoil("remoteapps", APPS, "db");
    scene.uses("cache", 1);
    scene.serves("cache").await;
    // The next operator never saw it otherwise.
    operator.stops().await;
    let operator = scene.operator("two").await;
    scene.uses("queue", 1);
    scene.serves("queue").await;
    scene.quiet().await;
    scene.was_listed_ever_since("db");
    assert_eq!(scene.agent.local_sockets().len(), 3, "db is served as before");
    operator.stops().await;
    scene.server.put("remoteapps", good);
    let site = spoil("sites", SYSTEM, "home");
    let operator = scene.operator("three").await;
    until("it is told", || message(&scene, "queue", "Accepted").contains("cannot be read")).await;
    scene.quiet().await;
    for app in ["db", "cache", "queue"] {
        scene.was_listed_ever_since(app);
    }
    scene.server.put("sites", site);
    scene.serves("db").await;
    drop(operator);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_begins_anew_with_an_older_configuration_gets_the_newest_again() {
    let scene = Scene::new().await;
    scene.uses("db", 1);
    let _operator = scene.operator("one").await;
    scene.serves("db").await;
    scene.quiet().await;
    let revision = scene.agent.revision();
    scene.agent.falls_back_to(revision - 1);
    until("it has the newest again", || scene.agent.revision() == revision).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_finds_neither_keys_nor_configuration_takes_nothing_away() {
    let scene = Scene::new().await;
    scene.uses("db", 1);
    let operator = scene.operator("one").await;
    scene.serves("db").await;
    operator.stops().await;
    let mesh = scene.server.get("secrets", SYSTEM, "mesh").unwrap();
    for secret in ["mesh", "home-agent"] {
        scene.server.remove("secrets", SYSTEM, secret);
    }
    let _operator = scene.operator("two").await;
    scene.tells(("sites", SYSTEM, "home"), "ResolvedRefs", "False SecretNotFound").await;
    scene.quiet().await;
    assert!(scene.server.get("daemonsets", SYSTEM, "home-agent").is_some());
    assert!(scene.server.get("services", APPS, "db").is_some());
    scene.was_listed_ever_since("db");
    scene.server.put("secrets", mesh);
    scene.tells(("sites", SYSTEM, "home"), "ResolvedRefs", "True").await;
    scene.serves("db").await;
    scene.was_listed_ever_since("db");
}
