//! YAML itself: format, keys, anchors, lines.

use crate::support::{BASE, bad, bad_whole, good, has, load, warnings, whole};
use std::collections::BTreeMap;

#[test]
fn the_least_file_needs_four_keys() {
    let loaded = whole(BASE);
    assert_eq!(loaded.config.site_name.as_str(), "home");
    assert_eq!(loaded.warnings, []);
    assert!(loaded.config.tunnel.local_sockets.is_empty());
}

#[test]
fn keys_are_read_in_any_case_also_in_lists() {
    let config = good("LOCALEXPOSEDAPPS:\n- APPNAME: a\n  appsocket: tcp:127.0.0.1:80\n  AllowedSites: ['*']\n");
    assert_eq!(config.exposed_apps.len(), 1);
}

#[test]
fn two_spellings_of_one_key_name_both_lines() {
    let text = bad("localExposedApps:\n- appName: a\n  appSocket: tcp:127.0.0.1:80\n  appsocket: tcp:127.0.0.1:81\n");
    has(&text, &["config.yaml:7: error: ", "\"appsocket\" here and \"appSocket\" on line 6 are two spellings"]);
}

#[test]
fn a_duplicate_key_names_both_lines() {
    has(&bad("siteName: other\n"), &["config.yaml:4: error: the key \"siteName\" is here and on line 1"]);
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_fine() {
    let text = format!("\u{feff}{}", BASE.replace('\n', "\r\n"));
    assert_eq!(whole(&text).config.site_name.as_str(), "home");
    let text = format!("{text}nonsense: 1\r\n");
    has(&crate::support::lines(&whole(&text).warnings), &["config.yaml:4: warning: the key \"nonsense\" is unknown"]);
}

#[test]
fn only_the_first_document_is_read() {
    assert_eq!(whole(&format!("---\n{BASE}---\nsiteName: [\n")).config.site_name.as_str(), "home");
}

#[test]
fn text_after_the_document_is_an_error() {
    has(&bad("]\n"), &["config.yaml:4: error: the file is not YAML"]);
}

#[test]
fn a_tab_is_an_error_with_its_line() {
    has(&bad("logger:\n\tlevel: info\n"), &["config.yaml:5: error: the line is indented by a tab"]);
    has(&bad("tunnel:\n  localSockets:\n\t- mode: x\n"), &["config.yaml:6: error: the line is indented by a tab"]);
}

#[test]
fn anchors_and_merges_work_and_own_keys_win() {
    let config = good(
        "
remoteApps:
- &first
  siteName: away
  appName: one
  localSocket: tcp:127.0.0.1:81
- <<: *first
  appname: two
  localSocket: tcp:127.0.0.1:82
- <<: [*first]
  localSocket: tcp:127.0.0.1:83
",
    );
    let names: Vec<&str> = config.remote_apps.iter().map(|app| app.providers[0].app.as_str()).collect();
    assert_eq!(names, ["one", "two", "one"]);
    has(&bad("logger:\n  <<: text\n"), &["config.yaml:5: error: << needs an alias of a map"]);
}

#[test]
fn unknown_keys_are_warnings_with_line_and_nearest_key() {
    let text = warnings("loger:\n  level: info\nmessageChanel: 1\nlogger: {levle: info}\n");
    has(
        &text,
        &[
            "config.yaml:4: warning: the key \"loger\" is unknown and ignored; did you mean logger?",
            "config.yaml:6: warning: the key \"messageChanel\" is unknown and ignored; did you mean messageChannel?",
            "config.yaml:7: warning: logger: the key \"levle\" is unknown and ignored; did you mean level?",
        ],
    );
}

#[test]
fn stun_is_a_known_key() {
    assert_eq!(warnings("stun:\n- stun.example.com:3478\n"), "");
}

#[test]
fn json_is_read_also_with_tabs_and_refused_with_its_line() {
    let json = b"{\n\t\"siteName\": \"home\",\n\t\"crypto\": {\"key\": \"a-long-enough-passphrase\"},\n\t\"messageChannel\": {\"protocol\": \"mqtt\"}\n}";
    let loaded = wovenet_config::load("config.json", json, &BTreeMap::new()).expect("json");
    assert_eq!(loaded.config.site_name.as_str(), "home");
    let problems = wovenet_config::load("config.json", b"{\n\"siteName\": home}", &BTreeMap::new()).expect_err("bad");
    has(&crate::support::lines(&problems), &["config.json:2: error: the file is not JSON: expected"]);
}

#[test]
fn toml_gets_one_clear_error_and_other_names_are_yaml() {
    let problems = wovenet_config::load("config.toml", b"siteName = 1", &BTreeMap::new()).expect_err("toml");
    assert_eq!(
        crate::support::lines(&problems),
        "config.toml:1: error: TOML is not supported; write the file as YAML\n"
    );
    assert!(wovenet_config::load("/etc/wovenet.conf", BASE.as_bytes(), &BTreeMap::new()).is_ok());
}

#[test]
fn an_empty_file_and_a_file_without_keys_are_refused() {
    for text in ["", "\n", "# only a comment\n", "---\n", "~"] {
        has(&bad_whole(text), &["config.yaml:1: error: the file"]);
    }
    has(&bad_whole("- a\n"), &["must be a map of keys"]);
    has(&bad_whole("text\n"), &["must be a map of keys"]);
}

#[test]
fn every_error_is_told_at_once_in_the_order_of_lines() {
    let text = bad_whole(
        "siteName: ''
crypto: {key: short}
logger: {level: loud, format: xml}
messageChannel: {protocol: mqt}
tunnel:
  localSockets:
  - mode: port-forward
    transportProtocol: quick
    listenPort: 70000
remoteApps:
- siteName: a
  localSocket: 127.0.0.1:80
",
    );
    let starts: Vec<&str> = text.lines().map(|line| line.split(' ').take(3).last().unwrap_or_default()).collect();
    assert_eq!(
        starts,
        [
            "siteName:",
            "crypto.key:",
            "logger.level:",
            "logger.format:",
            "messageChannel.protocol:",
            "tunnel.localSockets[0].mode:",
            "tunnel.localSockets[0].transportProtocol:",
            "tunnel.localSockets[0].listenPort:",
            "remoteApps[0].appName:",
            "remoteApps[0].localSocket:",
        ],
        "{text}"
    );
    has(&text, &["config.yaml:9: error: tunnel.localSockets[0].listenPort: 70000 is out of range: 0 to 65535"]);
}

#[test]
fn a_value_that_cannot_be_read_is_not_also_reported_as_missing() {
    let text = bad_whole("siteName: [a]\ncrypto: none\nmessageChannel: {protocol: mqtt}\n");
    assert_eq!(
        text,
        "config.yaml:1: error: siteName: must be text, not a list\n\
         config.yaml:2: error: crypto: must be a map of keys, not text\n"
    );
}

#[test]
fn a_missing_key_names_the_line_of_its_section() {
    let text = bad("tunnel:\n  localSockets:\n  - mode: dedicated-address\n");
    has(&text, &["config.yaml:6: error: tunnel.localSockets[0].transportProtocol: is required: quic"]);
    assert!(load("messageChannel: {protocol: mqtt}\n").is_err());
}
