//! Secrets that are missing, malformed, or go.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use wovenet_config::key::encode_key;
use wovenet_operator::plan::KeyState;

use crate::scene::{MESH_KEY, SITE, Scene};

/// FAULTS row 102.
#[test]
fn fault_102_a_missing_secret_is_named_and_all_is_well_when_it_comes() {
    let mut scene = Scene::with_site("");
    scene.known.secrets.remove("mesh");
    scene.tells("Site home", "ResolvedRefs", "False", "SecretNotFound", &["mesh"]);
    assert!(scene.look(|_, plans| plans[0].configuration.is_none()));
    assert!(scene.objects().daemon_sets.is_empty());
    scene.secret("mesh", &[("primary", &MESH_KEY)]);
    scene.tells("Site home", "ResolvedRefs", "True", "ResolvedRefs", &[]);
    assert_eq!(scene.objects().daemon_sets.len(), 1);
}

/// FAULTS rows 103 and 104.
#[test]
fn fault_103_and_104_a_damaged_or_deleted_secret_is_told_and_the_last_good_key_keeps_working() {
    let damage: [(&str, Option<&str>, &str); 5] = [
        ("empty", Some(""), "SecretMalformed"),
        ("a passphrase", Some("correct horse battery staple"), "SecretMalformed"),
        ("too short", Some("wvk1_aaaa"), "SecretMalformed"),
        ("another field", None, "SecretMalformed"),
        ("deleted", None, "SecretNotFound"),
    ];
    for (what, text, reason) in damage {
        let mut scene = Scene::with_site("");
        let good = scene.look(|_, plans| plans[0].configuration.clone().unwrap());
        scene.memory.configurations.insert("home".into(), good.clone());
        match (what, text) {
            ("deleted", _) => drop(scene.known.secrets.remove("mesh")),
            (_, Some(text)) => scene.secret("mesh", &[("primary", text)]),
            (_, None) => scene.secret("mesh", &[("key", &MESH_KEY)]),
        }
        scene.tells("Site home", "ResolvedRefs", "False", reason, &["mesh"]);
        let now = scene.look(|_, plans| plans[0].configuration.clone().unwrap());
        assert_eq!(now, good, "{what}");
        assert!(!format!("{:?}", scene.conditions()).contains("horse"), "no secret in a message");
    }
}

#[test]
fn credentials_that_are_gone_keep_working_as_they_were() {
    let site = SITE.replace("topic: t", "topic: t, credentialsSecretRef: {name: login}");
    let mut scene = Scene::of(&site);
    scene.secret("login", &[("username", "me"), ("password", "word")]);
    let good = scene.look(|_, plans| plans[0].configuration.clone().unwrap());
    assert_eq!(good.document.message_channel.as_ref().unwrap().mqtt.as_ref().unwrap().user.as_deref(), Some("me"));
    scene.memory.configurations.insert("home".into(), good.clone());
    scene.known.secrets.remove("login");
    scene.tells("Site home", "ResolvedRefs", "False", "SecretNotFound", &["login"]);
    assert_eq!(scene.look(|_, plans| plans[0].configuration.clone().unwrap()), good);
}

#[test]
fn a_line_end_after_a_key_is_tolerated_and_a_second_key_is_rendered() {
    let mut scene = Scene::with_site("");
    let other = encode_key("wvk1_", &[8; 32]);
    scene.secret("mesh", &[("primary", &format!("{}\n", *MESH_KEY)), ("secondary", &other)]);
    let crypto = scene.document().crypto.unwrap();
    assert_eq!(crypto.key.unwrap().expose(), *MESH_KEY);
    assert!(crypto.secondary_key.is_some());
}

#[test]
fn a_site_without_a_key_gets_one_and_a_damaged_one_is_never_replaced() {
    let mut scene = Scene::with_site("");
    scene.known.secrets.remove("home-identity");
    assert_eq!(scene.look(|_, plans| plans[0].key.as_ref().err().copied()), Some(KeyState::Missing));
    scene.known.secrets.insert("home-identity".into(), Arc::new(Secret::default()));
    assert_eq!(scene.look(|_, plans| plans[0].key.as_ref().err().copied()), Some(KeyState::Damaged));
    scene.tells("Site home", "ResolvedRefs", "False", "SecretMalformed", &["home-identity"]);
}

#[test]
fn the_key_of_a_site_that_had_one_is_never_replaced_by_another() {
    let mut scene = Scene::of(&SITE.replace("spec:\n", "status: {publicKey: PUBLIC}\nspec:\n").replace("PUBLIC", &{
        let scene = Scene::with_site("");
        scene.look(|_, plans| plans[0].public_key().unwrap().to_string())
    }));
    scene.known.secrets.remove("home-identity");
    assert_eq!(scene.look(|_, plans| plans[0].key.as_ref().err().copied()), Some(KeyState::Lost));
    scene.tells("Site home", "ResolvedRefs", "False", "SecretNotFound", &["home-identity", "backup"]);
    let had = scene.site_key.clone();
    scene.memory.keys.insert("site-uid".into(), had);
    assert_eq!(
        scene.look(|_, plans| plans[0].key.as_ref().err().copied()),
        Some(KeyState::Missing),
        "it is remembered"
    );
}

#[test]
fn credentials_without_a_name_are_malformed_and_the_last_ones_keep_working() {
    let mut scene = Scene::of(&SITE.replace("topic: t", "topic: t, credentialsSecretRef: {name: login}"));
    scene.secret("login", &[("username", "me"), ("password", "word")]);
    let good = scene.look(|_, plans| plans[0].configuration.clone().unwrap());
    scene.memory.configurations.insert("home".into(), good.clone());
    scene.secret("login", &[("username", ""), ("password", "word")]);
    scene.tells("Site home", "ResolvedRefs", "False", "SecretMalformed", &["login", "username"]);
    assert_eq!(scene.look(|_, plans| plans[0].configuration.clone()), Some(good));
}
