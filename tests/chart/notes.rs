//! What the installation tells.

use crate::helm::{NAMESPACE, helm, succeeded};

#[test]
fn the_notes_say_what_to_do_next() {
    let notes = notes(&[]);
    for part in [
        "helm test wovenet",
        "docker run --rm ghcr.io/wovenet/wovenet-agent:0.1.0 keygen",
        "kind: Site",
        "kubectl get wovenet",
    ] {
        assert!(notes.contains(part), "{part}: {notes}");
    }
    assert!(!notes.contains("WARNING"), "{notes}");
}

#[test]
fn the_notes_warn_of_what_may_be_regretted() {
    for (set, part) in [
        ("broker.enabled=true", "no TLS and no password"),
        ("crds.keep=false", "deletes every Site"),
        ("crds.enabled=false", "waits until the definitions"),
        ("rbac.create=false", "needs the rights"),
    ] {
        let notes = notes(&["--set", set]);
        assert!(notes.contains("WARNING") && notes.contains(part), "{set}: {notes}");
    }
}

#[test]
fn the_site_of_the_notes_is_a_valid_one() {
    let notes = notes(&["--set", "broker.enabled=true"]);
    let (_, rest) = notes.split_once("<<END\n").expect("a manifest");
    let (manifest, _) = rest.split_once("     END").expect("an end");
    let site: wovenet_crds::Site = serde_yaml::from_str(manifest).expect("a Site");
    let brokers = site.spec.message_channel.expect("a message channel").mqtt.brokers;
    assert_eq!(brokers, [format!("mqtt://wovenet-broker.{NAMESPACE}:1883")]);
}

fn notes(options: &[&str]) -> String {
    let mut all = vec!["--namespace", NAMESPACE, "--dry-run=client"];
    all.extend(options);
    let output = succeeded(helm(&["install", "wovenet"], &all));
    output.split_once("NOTES:").expect("notes").1.to_owned()
}
