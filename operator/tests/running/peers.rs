//! What agents know of other sites, from their answers to the Secret.

use data_encoding::BASE64;
use serde_json::Value;
use wovenet_identity::saved_peers::SAVED_PEERS_MAX_BYTES;
use wovenet_identity::{SavedPeers, SiteKey};

use crate::scene::{SYSTEM, Scene, until};

fn kept(scene: &Scene) -> Option<Vec<u8>> {
    let secret = scene.server.get("secrets", SYSTEM, "home-peers")?;
    BASE64.decode(secret.pointer("/data/peers.json").and_then(Value::as_str)?.as_bytes()).ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_agent_knows_is_kept_once_and_outlives_its_site() {
    let scene = Scene::new().await;
    let (name, key) = ("office".parse().unwrap(), SiteKey::generate().unwrap().public());
    let told = SavedPeers::render([(&name, &key)].into_iter(), std::iter::empty(), SAVED_PEERS_MAX_BYTES);
    scene.agent.knows(told.clone());
    let _operator = scene.operator("one").await;
    until("it is kept", || kept(&scene).as_ref() == Some(&told)).await;
    let writes = scene.quiet().await;
    scene.agent.knows(b"{damaged".to_vec());
    scene.server.remove("sites", SYSTEM, "home");
    until("the DaemonSet is gone", || scene.server.get("daemonsets", SYSTEM, "home-agent").is_none()).await;
    scene.quiet().await;
    let of_peers = |write: &crate::api_server::Write| write.place.2 == "home-peers";
    assert!(!scene.server.writes(writes).iter().any(of_peers));
    assert_eq!(kept(&scene), Some(told));
}
