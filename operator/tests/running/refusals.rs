//! What tenants and mistakes may not do, and what comes of it.

use data_encoding::BASE64;
use serde_json::{Value, json};
use wovenet_config::key::encode_key;
use wovenet_identity::SiteKey;

use crate::scene::{APPS, SYSTEM, Scene, until};

const SITE: (&str, &str, &str) = ("sites", SYSTEM, "home");
const WEB: (&str, &str, &str) = ("exposedapps", APPS, "web");
/// The address of a pod of the namespace of apps.
const OWN_POD: &str = "10.0.0.5";

fn service(scene: &Scene, namespace: &str) {
    scene.server.put(
        "services",
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": namespace},
            "spec": {"clusterIP": "10.96.0.7", "selector": {"app": "web"}, "ports": [{"port": 80}]},
        }),
    );
}

/// Lets the Service `web` lead to an address.
fn leads_to(scene: &Scene, address: &str) {
    scene.server.put(
        "endpointslices",
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": "web-x", "namespace": APPS, "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": "IPv4", "endpoints": [{"addresses": [address]}],
        }),
    );
}

fn exposed(scene: &Scene) -> Vec<String> {
    scene.agent.document().local_exposed_apps.into_iter().filter_map(|app| app.app_name).collect()
}

/// A RemoteApp of a name whose Service is `shared`.
fn wants_shared(scene: &Scene, name: &str) {
    scene.server.put(
        "remoteapps",
        json!({
            "apiVersion": "wovenet.io/v1alpha1", "kind": "RemoteApp", "metadata": {"name": name, "namespace": APPS},
            "spec": {
                "from": [{"siteName": "office", "appName": "db"}], "ports": [{"name": "sql", "port": 1}],
                "service": {"name": "shared"},
            },
        }),
    );
}

fn owner(scene: &Scene, service: &str) -> Option<Value> {
    scene.server.get("services", APPS, service)?.pointer("/metadata/ownerReferences/0/name").cloned()
}

/// FAULTS row 101.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_101_the_older_of_two_has_the_service_and_the_other_follows_when_it_goes() {
    let scene = Scene::new().await;
    wants_shared(&scene, "z-older");
    wants_shared(&scene, "a-younger");
    let _operator = scene.operator("one").await;
    scene.tells(("remoteapps", APPS, "z-older"), "Ready", "True").await;
    scene.tells(("remoteapps", APPS, "a-younger"), "Accepted", "False NameConflict RemoteApp shop/z-older").await;
    assert_eq!(owner(&scene, "shared"), Some(json!("z-older")));
    scene.server.remove("remoteapps", APPS, "z-older");
    scene.tells(("remoteapps", APPS, "a-younger"), "Ready", "True").await;
    assert_eq!(owner(&scene, "shared"), Some(json!("a-younger")));
}

/// FAULTS row 102.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_102_all_is_well_when_a_missing_secret_comes() {
    let scene = Scene::new().await;
    let secret = scene.server.get("secrets", SYSTEM, "mesh").unwrap();
    scene.server.remove("secrets", SYSTEM, "mesh");
    scene.uses("db", 1);
    let _operator = scene.operator("one").await;
    scene.tells(SITE, "ResolvedRefs", "False SecretNotFound Secret mesh").await;
    assert_eq!(scene.agent.revision(), 0);
    scene.server.put("secrets", secret);
    scene.serves("db").await;
}

/// FAULTS rows 103 and 104.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_103_and_104_the_last_good_key_keeps_working_while_its_secret_is_damaged_or_gone() {
    let scene = Scene::new().await;
    scene.uses("db", 1);
    let _operator = scene.operator("one").await;
    scene.serves("db").await;
    let (key, revision) = (scene.agent.document().crypto, scene.agent.revision());
    scene.secret("mesh", "primary", "correct horse battery staple");
    scene.tells(SITE, "ResolvedRefs", "False SecretMalformed").await;
    scene.server.remove("secrets", SYSTEM, "mesh");
    scene.tells(SITE, "ResolvedRefs", "False SecretNotFound").await;
    scene.quiet().await;
    assert_eq!((scene.agent.document().crypto, scene.agent.revision()), (key.clone(), revision));
    scene.was_listed_ever_since("db");
    let other = encode_key("wvk1_", &[8; 32]);
    scene.secret("mesh", "primary", &other);
    scene.tells(SITE, "ResolvedRefs", "True").await;
    until("the agent has the new key", || scene.agent.document().crypto != key).await;
}

/// FAULTS row 105.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_105_a_service_of_another_namespace_is_no_target() {
    let scene = Scene::new().await;
    service(&scene, "bank");
    scene.exposes_web(APPS);
    let _operator = scene.operator("one").await;
    scene.tells(WEB, "ResolvedRefs", "False ServiceNotFound").await;
    assert!(!scene.condition("exposedapps", APPS, "web", "ResolvedRefs").contains("bank"));
    scene.quiet().await;
    assert!(exposed(&scene).is_empty());
}

/// FAULTS row 106.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_106_a_service_that_begins_to_lead_elsewhere_is_withdrawn_from_agents() {
    let scene = Scene::new().await;
    scene.server.put(
        "pods",
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": APPS},
            "spec": {"containers": []}, "status": {"phase": "Running", "podIPs": [{"ip": OWN_POD}]},
        }),
    );
    service(&scene, APPS);
    leads_to(&scene, OWN_POD);
    scene.exposes_web(APPS);
    let _operator = scene.operator("one").await;
    until("it is exposed", || exposed(&scene) == ["web"]).await;
    leads_to(&scene, "10.96.0.1");
    until("it is withdrawn", || exposed(&scene).is_empty()).await;
    scene.tells(WEB, "Accepted", "False NotPermitted").await;
    leads_to(&scene, OWN_POD);
    until("it is exposed again", || exposed(&scene) == ["web"]).await;
    // Its address may be another pod's by now.
    let mut pod = scene.server.get("pods", APPS, "web").unwrap();
    pod["status"]["phase"] = json!("Succeeded");
    scene.server.put("pods", pod);
    until("it is withdrawn", || exposed(&scene).is_empty()).await;
}

/// FAULTS row 107.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_107_nothing_that_somebody_else_made_is_written_or_deleted() {
    let scene = Scene::new().await;
    let foreign = |kind: &str, namespace: &str, name: &str| {
        let labels = json!({"app.kubernetes.io/managed-by": "wovenet-operator", "wovenet.io/site": "home"});
        let metadata = json!({"name": name, "namespace": namespace, "labels": labels});
        json!({"apiVersion": "v1", "kind": kind, "metadata": metadata})
    };
    scene.server.put("services", foreign("Service", APPS, "db"));
    scene.server.put("services", foreign("Service", APPS, "other"));
    let mut secret = foreign("Secret", SYSTEM, "home-agent");
    secret["data"] = json!({"primary": BASE64.encode(b"the key of somebody")});
    scene.uses("db", 1);
    let _operator = scene.operator("one").await;
    scene.tells(("remoteapps", APPS, "db"), "Accepted", "False ServiceConflict").await;
    scene.quiet().await;
    let touched = |name: &str| {
        scene.server.writes(0).into_iter().any(|write| write.place.2 == name && write.place.0 == "services")
    };
    assert!(!touched("db") && !touched("other"));
    scene.server.remove("services", APPS, "db");
    scene.serves("db").await;
    scene.server.remove("secrets", SYSTEM, "home-agent");
    scene.server.put("secrets", secret);
    scene.tells(SITE, "Accepted", "False NameConflict Secret home-agent").await;
    scene.quiet().await;
    let secret = scene.server.get("secrets", SYSTEM, "home-agent").unwrap();
    assert!(secret["data"]["config.yaml"].is_null(), "{secret}");
}

/// FAULTS row 112.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_112_what_answers_at_an_agents_address_with_another_key_is_told_nothing() {
    let [key, other] = [(); 2].map(|()| SiteKey::generate().unwrap());
    let scene = Scene::with_keys(&key, &other).await;
    scene.uses("db", 1);
    let _operator = scene.operator("one").await;
    scene.tells(("remoteapps", APPS, "db"), "Programmed", "False AgentsNotReady").await;
    assert_eq!(scene.agent.revision(), 0);
}

/// FAULTS row 114.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_114_apps_of_a_namespace_that_is_being_deleted_are_withdrawn_before_they_are_gone() {
    let scene = Scene::new().await;
    service(&scene, APPS);
    scene.exposes_web(APPS);
    scene.uses("db", 1);
    let _operator = scene.operator("one").await;
    scene.serves("db").await;
    until("it is exposed", || exposed(&scene) == ["web"]).await;
    let metadata = json!({"name": APPS, "deletionTimestamp": "2026-01-01T00:00:00Z"});
    scene.server.put("namespaces", json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}));
    until("it is withdrawn", || exposed(&scene).is_empty()).await;
    until("its Service is gone", || scene.server.get("services", APPS, "db").is_none()).await;
    until("no listener is left", || scene.agent.document().remote_apps.is_empty()).await;
    assert!(scene.server.get("remoteapps", APPS, "db").is_some(), "it is the namespace's to delete");
}
