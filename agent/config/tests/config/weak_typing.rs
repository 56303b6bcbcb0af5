//! Weak typing: numbers where text is wanted and the reverse, one where a list is wanted.

use crate::support::{bad, bad_whole, good, has, load, warnings, whole};

fn site_name(written: &str) -> String {
    let text =
        format!("siteName: {written}\ncrypto: {{key: a-long-enough-passphrase}}\nmessageChannel: {{protocol: mqtt}}\n");
    whole(&text).config.site_name.to_string()
}

#[test]
fn unquoted_scalars_become_the_text_that_wovenet_made_of_them() {
    for (written, name) in [
        ("1.50", "1.5"),
        ("1e3", "1000"),
        ("1.0", "1"),
        ("true", "1"),
        ("false", "0"),
        ("yes", "yes"),
        ("on", "on"),
        ("010", "8"),
        ("0o10", "8"),
        ("0x10", "16"),
        ("1_000", "1000"),
        ("!!str 010", "010"),
        ("'010'", "010"),
        ("\"true\"", "true"),
    ] {
        assert_eq!(site_name(written), name, "{written}");
    }
}

#[test]
fn null_is_not_set() {
    for written in ["", "~", "null"] {
        let text = format!(
            "siteName: {written}\ncrypto: {{key: a-long-enough-passphrase}}\nmessageChannel: {{protocol: mqtt}}\n"
        );
        has(&bad_whole(&text), &["config.yaml:1: error: siteName: is required"]);
    }
    assert!(good("logger:\ntunnel: ~\nlocalExposedApps:\nrestfulApi: null\n").api.is_none());
}

#[test]
fn dates_maps_and_lists_are_no_text() {
    for (written, part) in [("2001-02-03", "is a date"), ("{a: 1}", "not a map"), ("[a]", "not a list")] {
        let text = format!("siteName: {written}\n");
        has(&bad_whole(&text), &["config.yaml:1: error: siteName:", part]);
    }
}

#[test]
fn unquoted_numbers_as_names_and_keys_are_warnings_with_their_line() {
    let loaded = whole("siteName: 010\ncrypto:\n  key: 12345678901234567890\nmessageChannel: {protocol: mqtt}\n");
    let text = crate::support::lines(&loaded.warnings);
    has(
        &text,
        &["config.yaml:1: warning: siteName: ", "read as \"8\"", "config.yaml:3: warning: crypto.key: ", "quotes"],
    );
    assert!(!text.contains("1234567890"));
    has(&bad_whole("siteName: a\ncrypto: {key: 01234567}\n"), &["too short: 6 bytes"]);
}

#[test]
fn numbers_are_fine_where_ranges_want_text() {
    let more = "localExposedApps: {appName: a, mode: range, portRange: [5900], addressRange: 10.0.2.0/24, allowedSites: '*'}\n";
    assert_eq!(warnings(more), "");
    has(&format!("{:?}", good(more).exposed_apps), &["5900..=5900", "10.0.2.0/24"]);
}

fn socket_port(written: &str) -> Result<u16, String> {
    let text = format!(
        "{}tunnel:\n  localSockets:\n    mode: dedicated-address\n    transportProtocol: quic\n    publicAddress: 192.0.2.1\n    publicPort: {written}\n",
        crate::support::BASE
    );
    load(&text)
        .map(|loaded| loaded.config.tunnel.local_sockets[0].public_port)
        .map_err(|problems| crate::support::lines(&problems))
}

#[test]
fn ports_are_numbers_or_numeric_text() {
    for (written, port) in [
        ("4464", 4464),
        ("'4464'", 4464),
        ("'0x1170'", 4464),
        ("'0o10560'", 4464),
        ("'0b1000101110000'", 4464),
        ("0x1170", 4464),
        ("4464.0", 4464),
        ("65535", 65535),
    ] {
        assert_eq!(socket_port(written), Ok(port), "{written}");
    }
}

#[test]
fn no_port_wraps_and_no_float_is_cut() {
    for (written, part) in [
        ("70000", "70000 is out of range: 0 to 65535"),
        ("'70000'", "70000 is out of range: 0 to 65535"),
        ("-1", "-1 is out of range"),
        ("21555.7", "21555.7 is no whole number"),
        ("99999999999999999999", "is no whole number"),
        ("true", "true is no whole number"),
        ("eighty", "\"eighty\" is no whole number; write digits"),
        ("[80]", "must be a whole number, not a list"),
    ] {
        let text = socket_port(written).expect_err(written);
        has(&text, &["config.yaml:9: error: tunnel.localSockets[0].publicPort: ", part]);
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}

#[test]
fn booleans_are_words_digits_or_text_and_yes_is_an_error() {
    for (written, enabled) in [
        ("true", true),
        ("'true'", true),
        ("'1'", true),
        ("t", true),
        ("2", true),
        ("0", false),
        ("'f'", false),
        ("''", false),
        ("False", false),
    ] {
        assert_eq!(good(&format!("health: {{enabled: {written}}}\n")).health.is_some(), enabled, "{written}");
    }
    has(&bad("health: {enabled: yes}\n"), &["config.yaml:4: error: health.enabled: must be true or false; write true"]);
    has(&bad("health: {enabled: off}\n"), &["write false"]);
    has(&bad("health: {enabled: ture}\n"), &["did you mean true?"]);
}

#[test]
fn a_bad_value_in_a_disabled_section_is_an_error() {
    has(&bad("restfulApi: {enabled: false, tls: {enabled: maybe}}\n"), &["restfulApi.tls.enabled"]);
}

#[test]
fn one_map_is_a_list_of_one_and_text_is_split_at_commas() {
    let config = good("localExposedApps:\n  appName: a\n  appSocket: unix:/a\n  allowedSites: b, c\n");
    has(&format!("{:?}", config.exposed_apps), &["Name(\"b\")", "Name(\"c\")"]);
    has(&bad("localExposedApps: text\n"), &["must be a list of maps, not text"]);
    has(&bad("deniedKeys: {a: b}\n"), &["must be a list of texts, not a map"]);
}

#[test]
fn an_empty_list_entry_is_an_error_and_moves_no_other() {
    let text = bad("localExposedApps:\n-\n- appName: a\n  appSocket: nonsense\n  allowedSites: ['*']\n");
    has(&text, &["localExposedApps[0]: is empty; fill it or remove it", "localExposedApps[1].appSocket: \"nonsense\""]);
    assert_eq!(text.matches(" error: ").count(), 2, "{text}");
}

#[test]
fn durations_are_text_or_seconds() {
    let app = |timeout: &str| {
        format!(
            "remoteApps: {{siteName: a, appName: b, localSocket: 'unix:/a', connectTimeout: {timeout}, idleTimeout: {timeout}}}\n"
        )
    };
    for (written, millis) in [("5", 5000), ("500ms", 500), ("2m", 120_000), ("1.5", 1500), ("'3'", 3000)] {
        let app = &good(&app(written)).remote_apps[0];
        assert_eq!(app.connect_timeout.as_millis(), millis);
        assert_eq!(app.idle_timeout.map(|idle| idle.as_millis()), Some(millis));
    }
    has(&bad(&app("soon")), &["remoteApps[0].connectTimeout: \"soon\" is no duration; write it like 500ms"]);
    has(&bad(&app("0")), &["remoteApps[0].connectTimeout: \"0\" is out of range: 1ms to 300s"]);
    has(&bad(&app("-5")), &["is no duration"]);
}
