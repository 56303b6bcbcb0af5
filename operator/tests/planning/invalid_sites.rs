//! Sites that are not accepted: what is there stays as it is.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use wovenet_operator::names;

use crate::scene::{SITE, SYSTEM, Scene};

const APP: &str = "
kind: RemoteApp
metadata: {name: db, namespace: shop, uid: db-uid, generation: 1, creationTimestamp: 2026-01-01T00:00:00Z}
spec: {from: [{siteName: office, appName: db}], ports: [{name: sql, port: 5432}]}
status: {ports: [{name: sql, listenerPort: 20001}]}
";
const REPORT: &str = "{revision: 1, ready: true, sites: [{siteName: office, state: connected, channels: [{state: good}],
  apps: [{appName: db, healthy: true}]}], listeners: [{localSocket: 'tcp:0.0.0.0:20001', state: listening, providerState: available}]}";

/// The Site with two ways to be reached on one port, which is wrong.
fn invalid() -> String {
    SITE.replace("spec:\n", "spec:\n  expose: [{type: HostPort, port: 4500}, {type: NodePort, port: 4500}]\n")
}

#[test]
fn a_site_that_becomes_invalid_keeps_its_agents_and_apps_as_they_are_and_tells_only_what_changed_since() {
    let mut scene = Scene::with_site(APP);
    scene.agent("one", "10.0.0.1", Some(REPORT), 0);
    scene.tells("RemoteApp db", "Ready", "True", "Ready", &[]);
    let (before, slices) = (scene.look(|_, plans| plans[0].configuration.clone()), scene.objects().slices);
    scene.known.sites.clear();
    scene.add(&invalid());
    scene.add(&APP.replace("name: db", "name: new").replace("db-uid", "new-uid").replace("20001", "20002"));
    scene.tells("Site home", "Accepted", "False", "Invalid", &["4500"]);
    scene.tells("Site home", "Ready", "False", "Invalid", &[]);
    assert_eq!(scene.look(|_, plans| plans[0].configuration.clone()), before);
    let objects = scene.objects();
    assert!(objects.daemon_sets.is_empty() && objects.secrets.is_empty(), "nothing is made of what is wrong");
    assert!(objects.services.iter().all(|service| !service.name_any().starts_with("home-")));
    assert!(objects.slices.contains(&slices[0]), "clients are led to agents as before");
    scene.tells("RemoteApp db", "Ready", "True", "Ready", &[]);
    scene.tells("RemoteApp new", "Programmed", "False", "Pending", &["Site home"]);
}

/// FAULTS row 107.
#[test]
fn fault_107_a_site_overwrites_nothing_that_somebody_else_made() {
    let foreign = |name: String| ObjectMeta {
        name: Some(name),
        namespace: Some(SYSTEM.to_owned()),
        labels: Some(names::labels("home")),
        ..ObjectMeta::default()
    };
    let refused = |scene: &Scene, kind: &str, name: &str| {
        scene.tells("Site home", "Accepted", "False", "NameConflict", &[kind, name]);
        let objects = scene.objects();
        assert!(objects.secrets.is_empty() && objects.daemon_sets.is_empty() && objects.services.is_empty());
    };
    let mut scene = Scene::with_site("");
    scene.secret("home-agent", &[("primary", "the mesh key of somebody")]);
    refused(&scene, "Secret", "home-agent");
    let mut scene = Scene::with_site("");
    let set = DaemonSet { metadata: foreign("home-agent".to_owned()), ..DaemonSet::default() };
    scene.known.daemon_sets.insert("home-agent".to_owned(), Arc::new(set));
    refused(&scene, "DaemonSet", "home-agent");
    let exposed = SITE.replace("spec:\n", "spec:\n  expose: [{type: NodePort}]\n");
    let service =
        "kind: Service\nmetadata: {name: home-tunnel, namespace: wovenet-system}\nspec: {ports: [{port: 1}]}\n";
    refused(&Scene::of(&format!("{exposed}---\n{service}")), "Service", "home-tunnel");
    let mut scene = Scene::with_site("");
    scene.secret("home-peers", &[("peers.json", "{}")]);
    let mut peers = (*scene.known.secrets["home-peers"]).clone();
    peers.metadata.labels = None;
    scene.known.secrets.insert("home-peers".to_owned(), Arc::new(peers));
    refused(&scene, "Secret", "home-peers");
    let written = scene.look(|_, plans| plans[0].peers_secret(&scene.known).is_some());
    assert!(!written, "it is not written either");
}

/// FAULTS row 107.
#[test]
fn fault_107_a_remote_app_overwrites_no_slice_that_somebody_else_made() {
    let slice =
        "kind: EndpointSlice\nmetadata: {name: db-wovenet-ipv4, namespace: shop}\naddressType: IPv4\nendpoints: []\n";
    let scene = Scene::with_site(&format!("{APP}---\n{slice}"));
    scene.tells("RemoteApp db", "Accepted", "False", "ServiceConflict", &["EndpointSlice", "db-wovenet-ipv4"]);
    assert!(scene.objects().slices.is_empty());
}

#[test]
fn an_app_of_a_site_that_cannot_be_read_says_so() {
    let mut scene = Scene::of(APP);
    let metadata = ObjectMeta { name: Some("home".to_owned()), ..ObjectMeta::default() };
    scene.known.unreadable.sites.push(metadata);
    scene.tells("RemoteApp db", "Accepted", "False", "SiteNotFound", &["home", "cannot be read"]);
}
