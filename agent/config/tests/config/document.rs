//! The operator's document: strict types, unknown keys, round trips.

use proptest::prelude::*;
use wovenet_config::document::{
    BasicAuth, Crypto, DurationText, ExposedApp, Health, MessageChannel, Mqtt, RemoteApp, RestfulApi, RestfulApiAuth,
    SecretValue,
};
use wovenet_config::{Document, validate};

use crate::examples::FILES;
use crate::support::{has, lines, load, whole};

#[test]
fn an_agent_tolerates_keys_of_a_newer_operator() {
    let text = r#"{"siteName": "a", "future": {"x": 1}, "crypto": {"key": "a-long-enough-passphrase", "future": 1},
        "messageChannel": {"protocol": "mqtt", "mqtt": {"brokerServer": "mqtts://broker"}}, "revision": 7}"#;
    let document = Document::read(text.as_bytes()).expect("document");
    let validated = validate(&document).unwrap_or_else(|problems| panic!("{}", lines(&problems)));
    assert_eq!(validated.config.revision, 7);
    assert_eq!(validated.config.mqtt.expect("mqtt").brokers[0].port, 8883);
}

#[test]
fn documents_are_json_or_yaml_with_strict_types() {
    assert_eq!(Document::read(b"siteName: a\n").expect("yaml").site_name.as_deref(), Some("a"));
    assert!(Document::read(b"{\"siteName\": 1}").is_err());
    assert!(Document::read(b"\xff").is_err());
    assert!(Document::read(&vec![b' '; (1 << 20) + 1]).is_err());
    let error = Document::read(b"{\"crypto\": {\"key\": 12345678}}").expect_err("number");
    assert!(!format!("{error:?}").contains("12345678"), "{error:?}");
}

#[test]
fn a_problem_of_a_document_has_no_file() {
    let text = lines(&validate(&Document::default()).expect_err("empty"));
    has(
        &text,
        &["error: siteName: is required", "error: crypto.key: is required", "error: messageChannel: is required"],
    );
}

#[test]
fn what_a_person_wrote_reads_back_in_canonical_form() {
    for (name, text) in FILES {
        let loaded = whole(text);
        for form in [
            serde_json::to_string(&loaded.document).expect("json"),
            serde_yaml::to_string(&loaded.document).expect("yaml"),
        ] {
            let document = Document::read(form.as_bytes()).expect(name);
            assert_eq!(document, loaded.document, "{name}");
            assert_eq!(validate(&document).expect(name).config, loaded.config, "{name}");
            assert_eq!(whole(&form).config, loaded.config, "{name}");
        }
    }
}

#[test]
fn a_redacted_document_has_no_secret_and_is_still_a_document() {
    let document = document("home".into(), "s3cret-s3cret-s3cret".into(), vec![1], 5);
    let text = serde_json::to_string(&document.redacted()).expect("json");
    assert!(!text.contains("s3cret"), "{text}");
    assert!(Document::read(text.as_bytes()).is_ok());
    assert!(!format!("{document:?}").contains("s3cret"));
}

fn document(site: String, secret: String, ports: Vec<u16>, timeout: u32) -> Document {
    let exposed = ports.iter().enumerate().map(|(index, port)| ExposedApp {
        app_name: Some(format!("app{index}")),
        app_socket: Some(format!("tcp:10.0.0.1:{port}")),
        allowed_sites: Some(vec!["*".into()]),
        connect_timeout: Some(DurationText(format!("{timeout}ms"))),
        ..ExposedApp::default()
    });
    let remote = ports.iter().enumerate().map(|(index, _)| RemoteApp {
        site_name: Some("a far site".into()),
        app_name: Some("app".into()),
        local_socket: Some(format!("unix:/run/{index}")),
        ..RemoteApp::default()
    });
    Document {
        revision: Some(3),
        site_name: Some(site),
        crypto: Some(Crypto { key: Some(SecretValue::new(&*secret)), secondary_key: None }),
        message_channel: Some(MessageChannel {
            protocol: Some("mqtt".into()),
            mqtt: Some(Mqtt { broker_server: vec![SecretValue::new("mqtts://me:s3cret@broker")], ..Mqtt::default() }),
        }),
        local_exposed_apps: exposed.collect(),
        remote_apps: remote.collect(),
        restful_api: Some(RestfulApi {
            enabled: Some(true),
            auth: Some(RestfulApiAuth {
                basic_auth: vec![BasicAuth { user: Some("me".into()), password: Some(SecretValue::new(secret)) }],
                ..RestfulApiAuth::default()
            }),
            ..RestfulApi::default()
        }),
        health: Some(Health { enabled: Some(true), listen_addr: None }),
        ..Document::default()
    }
}

proptest! {
    #[test]
    fn a_document_survives_json_yaml_and_the_loader(
        site in "[ -~]{1,40}",
        secret in "[!-~]{8,60}",
        ports in prop::collection::vec(1u16.., 0..5),
        timeout in 1u32..300_000,
    ) {
        let document = document(site, secret, ports, timeout);
        let json = serde_json::to_string(&document).expect("json");
        let yaml = serde_yaml::to_string(&document).expect("yaml");
        prop_assert_eq!(&Document::read(json.as_bytes()).expect("json"), &document);
        prop_assert_eq!(&Document::read(yaml.as_bytes()).expect("yaml"), &document);
        if let Ok(validated) = validate(&document) {
            let loaded = load(&yaml).expect("yaml file");
            prop_assert_eq!(&loaded.config, &validated.config);
            prop_assert_eq!(&loaded.document, &document);
        }
    }
}
