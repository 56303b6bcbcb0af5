//! Values that the environment replaces.

use std::collections::BTreeMap;

use crate::support::{BASE, has, lines};
use wovenet_config::{Loaded, Problem};

fn load(text: &str, environment: &[(&str, &str)]) -> Result<Loaded, Vec<Problem>> {
    let environment: BTreeMap<String, String> =
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    wovenet_config::load("config.yaml", text.as_bytes(), &environment)
}

#[test]
fn dotted_upper_case_names_replace_scalars_of_the_file() {
    let text = "siteName: placeholder\ncrypto: {key: ~}\nmessageChannel: {protocol: mqtt, mqtt: {topic: a, brokerServer: mqtt://a}}\n";
    let loaded = load(
        text,
        &[
            ("SITENAME", "from-outside"),
            ("CRYPTO.KEY", "12345678901234567890"),
            ("MESSAGECHANNEL.MQTT.TOPIC", "mine"),
            ("MESSAGECHANNEL.MQTT.BROKERSERVER", "mqtt://b,mqtts://c"),
        ],
    )
    .unwrap_or_else(|problems| panic!("{}", lines(&problems)));
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.config.site_name.as_str(), "from-outside");
    let mqtt = loaded.config.mqtt.expect("mqtt");
    assert_eq!(mqtt.topic.as_deref(), Some("mine"));
    assert_eq!(mqtt.brokers.len(), 2);
}

#[test]
fn empty_variables_and_keys_that_are_not_in_the_file_change_nothing() {
    let loaded = load(
        BASE,
        &[("SITENAME", ""), ("STATEDIR", "/elsewhere"), ("MESSAGECHANNEL.MQTT.TOPIC", "x"), ("CRYPTO_KEY", "x")],
    );
    let config = loaded.expect("good").config;
    assert_eq!(config.site_name.as_str(), "home");
    assert_eq!(config.state_dir, None);
    assert_eq!(config.mqtt.expect("mqtt").topic, None);
}

#[test]
fn a_variable_named_like_a_section_hides_nothing() {
    let text = format!(
        "{BASE}logger: {{level: debug}}\ntunnel:\nlocalExposedApps:\n- {{appName: a, appSocket: 'unix:/a', allowedSites: ['*']}}\n"
    );
    let sections = ["CRYPTO", "TUNNEL", "LOGGER", "RESTFULAPI", "LOCALEXPOSEDAPPS", "MESSAGECHANNEL", "REMOTEAPPS"];
    let environment: Vec<(&str, &str)> = sections.iter().map(|name| (*name, "x")).collect();
    assert_eq!(load(&text, &environment), load(&text, &[]));
}

#[test]
fn nothing_in_a_list_is_replaced() {
    let text = format!("{BASE}localExposedApps:\n- {{appName: a, appSocket: 'unix:/a', allowedSites: ['*']}}\n");
    let environment = [("LOCALEXPOSEDAPPS[0].APPNAME", "b"), ("LOCALEXPOSEDAPPS.APPNAME", "b")];
    assert_eq!(load(&text, &environment).expect("good").config.exposed_apps[0].name.as_str(), "a");
}

#[test]
fn a_bad_value_names_its_variable_and_the_line_of_its_key() {
    let text = format!("{BASE}logger:\n  level: info\n");
    let problems = load(&text, &[("LOGGER.LEVEL", "loud"), ("CRYPTO.KEY", "s3cret")]).expect_err("bad");
    let text = lines(&problems);
    has(
        &text,
        &[
            "config.yaml:5: error: logger.level: \"loud\" is not supported",
            "(from the environment variable LOGGER.LEVEL)",
        ],
    );
    has(
        &text,
        &["config.yaml:2: error: crypto.key: is too short: 6 bytes", "(from the environment variable CRYPTO.KEY)"],
    );
    assert!(!text.contains("s3cret"));
}
