//! Brokers and topic.

use crate::support::{bad_whole, good, has, warnings, whole};
use wovenet_config::message_channel::Mqtt;

const SITE: &str = "siteName: home\ncrypto: {key: a-long-enough-passphrase}\n";

fn mqtt(keys: &str) -> Mqtt {
    whole(&format!("{SITE}messageChannel: {{protocol: mqtt, mqtt: {{{keys}}}}}\n")).config.mqtt.expect("mqtt")
}

fn refused(keys: &str) -> String {
    bad_whole(&format!("{SITE}messageChannel: {{protocol: mqtt, mqtt: {{{keys}}}}}\n"))
}

#[test]
fn a_missing_or_empty_mqtt_section_gets_the_defaults() {
    for section in ["", "mqtt: ", "mqtt: {}", "mqtt: ~"] {
        let config = whole(&format!("{SITE}messageChannel:\n  protocol: MQTT\n  {section}\n")).config;
        let mqtt = config.mqtt.expect("mqtt");
        assert_eq!(mqtt.brokers[0].display_url(), "mqtt://mqtt.eclipseprojects.io:1883");
        assert_eq!(mqtt.topic, None);
    }
}

#[test]
fn the_section_and_its_protocol_are_required() {
    has(&bad_whole(SITE), &["messageChannel: is required"]);
    has(
        &bad_whole(&format!("{SITE}messageChannel: {{mqtt: {{topic: a}}}}\n")),
        &["messageChannel.protocol: is required: mqtt"],
    );
    has(&bad_whole(&format!("{SITE}messageChannel: {{protocol: amqp}}\n")), &["\"amqp\" is not supported"]);
}

#[test]
fn no_broker_is_needed_when_peers_are_listed() {
    let key = wovenet_config::key::PublicKey([7; 32]);
    let peers =
        format!("peers: [{{siteName: away, publicKey: {key}, addresses: ['gw.example.com', '192.0.2.1:1']}}]\n");
    let config = whole(&format!("{SITE}{peers}")).config;
    assert_eq!(config.mqtt, None);
    assert_eq!(config.peers[0].addresses[0].to_string(), "gw.example.com:51820");
    assert!(good(&peers).mqtt.is_some());
}

#[test]
fn brokers_are_one_or_a_list_or_text_with_commas() {
    assert_eq!(mqtt("brokerServer: 'mqtt://a'").brokers.len(), 1);
    assert_eq!(mqtt("brokerServer: ['mqtt://a', 'wss://b/mqtt']").brokers.len(), 2);
    assert_eq!(mqtt("brokerServer: 'mqtt://a, mqtts://me:p,w@b'").brokers.len(), 2);
    let many: Vec<String> = (0..9).map(|n| format!("'mqtt://b{n}'")).collect();
    has(&refused(&format!("brokerServer: [{}]", many.join(","))), &["has 9 entries, at most 8 are allowed"]);
}

#[test]
fn the_user_of_the_section_is_for_brokers_without_their_own() {
    let mqtt = mqtt("brokerServer: ['mqtts://a', 'mqtts://own:p@b'], user: me, password: pw, caFile: ca.pem");
    let users: Vec<&str> = mqtt.brokers.iter().filter_map(|b| Some(b.credentials.as_ref()?.0.as_str())).collect();
    assert_eq!(users, ["me", "own"]);
    assert_eq!(mqtt.brokers[0].ca_file.as_deref(), Some("ca.pem".as_ref()));
    has(&refused("password: pw"), &["messageChannel.mqtt.password: has no user"]);
}

#[test]
fn a_bad_broker_names_its_line_and_what_is_right() {
    let text = bad_whole(&format!(
        "{SITE}messageChannel:\n  protocol: mqtt\n  mqtt:\n    brokerServer:\n    - mqtt://good\n    - tcp://me:s3cret@bad:1883\n"
    ));
    has(
        &text,
        &[
            "config.yaml:8: error: messageChannel.mqtt.brokerServer[1]: \"tcp://<redacted>@bad:1883\" has the unsupported scheme \"tcp\"; did you mean mqtt?",
        ],
    );
    assert!(!text.contains("s3cret"));
}

#[test]
fn doubtful_brokers_are_warnings() {
    let text = crate::support::lines(
        &whole(&format!("{SITE}messageChannel: {{protocol: mqtt, mqtt: {{brokerServer: ['mqtt://me:s3cret@a', 'mqtt://a'], caFile: x}}}}\n")).warnings,
    );
    has(&text, &["password in clear", "listed twice", "caFile: has no effect"]);
    assert!(!text.contains("s3cret"));
    assert_eq!(warnings(""), "");
}

#[test]
fn topics_that_break_a_broker_are_errors() {
    assert_eq!(mqtt("topic: kungze/wovenet/own").topic.as_deref(), Some("kungze/wovenet/own"));
    for (topic, part) in [
        ("'a+b'", "wildcards"),
        ("'a/#'", "wildcards"),
        ("''", "is empty"),
        ("'/a'", "starts with /"),
        ("'$SYS'", "starts with $"),
        ("\"a\\0b\"", "NUL"),
    ] {
        has(&refused(&format!("topic: {topic}")), &["messageChannel.mqtt.topic: ", part]);
    }
    has(&refused(&format!("topic: {}", "a".repeat(201))), &["has 201 bytes, at most 200"]);
}
