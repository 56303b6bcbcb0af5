//! The configuration of agents and its revisions.

use wovenet_operator::configuration::Configuration;

use crate::scene::{MESH_KEY, Scene};

#[test]
fn the_revision_stays_while_the_document_does_and_rises_with_each_change() {
    let mut scene = Scene::with_site("");
    let first = scene.look(|_, plans| plans[0].configuration.clone().unwrap());
    assert_eq!(first.revision, 1);
    scene.memory.configurations.insert("home".into(), first.clone());
    assert_eq!(scene.look(|_, plans| plans[0].configuration.clone().unwrap()), first);
    scene.add("kind: RemoteApp\nmetadata: {name: db, namespace: shop, uid: u}\nspec: {from: [{siteName: office, appName: db}], ports: [{name: sql, port: 5432}]}\n");
    assert_eq!(scene.look(|_, plans| plans[0].configuration.clone().unwrap()).revision, 2);
}

#[test]
fn a_revision_is_above_what_agents_have_even_when_the_secret_is_lost() {
    let mut scene = Scene::with_site("");
    scene.agent("one", "10.0.0.1", Some("{revision: 41, ready: true}"), 0);
    scene.memory.configurations.clear();
    assert_eq!(scene.look(|_, plans| plans[0].configuration.clone().unwrap()).revision, 42);
}

#[test]
fn what_is_written_into_the_secret_is_read_back_the_same() {
    let scene = Scene::with_site("");
    let written = scene.look(|_, plans| plans[0].configuration.clone().unwrap());
    let secret = scene.objects().secrets.pop().unwrap();
    assert_eq!(Configuration::read(&secret), Some(written));
}

#[test]
fn no_secret_is_in_the_debug_form_of_what_was_judged() {
    let scene = Scene::with_site("");
    let shown = scene.look(|judged, plans| format!("{judged:?}{:?}", plans[0].configuration));
    assert!(!shown.contains(&**MESH_KEY));
}
