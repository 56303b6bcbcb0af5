//! Peers, trust, logger, REST API and health.

use crate::support::{bad, good, has, warnings};
use wovenet_config::key::PublicKey;
use wovenet_config::logger::{Format, Level};
use wovenet_config::peer::Trust;

fn key(byte: u8) -> PublicKey {
    PublicKey([byte; 32])
}

#[test]
fn peers_have_unique_names_and_keys_that_are_not_ours() {
    let text = bad(&format!(
        "peers:\n- {{siteName: a, publicKey: {k}}}\n- {{siteName: a, publicKey: {k}}}\n- {{siteName: home, publicKey: wvp1_x}}\n- {{addresses: ['a:0']}}\n",
        k = key(1)
    ));
    has(
        &text,
        &["peers[1].siteName: \"a\" is also the name of peers[0]", "peers[1].publicKey: is also the key of peers[0]"],
    );
    has(&text, &["peers[2].siteName: \"home\" is this site's own name", "peers[2].publicKey: ", "is damaged"]);
    has(
        &text,
        &[
            "peers[3].siteName: is required",
            "peers[3].publicKey: is required",
            "peers[3].addresses[0]: ",
            "no valid port",
        ],
    );
}

#[test]
fn trust_is_shared_or_pinned_and_pinned_needs_peers() {
    assert_eq!(good("").trust, Trust::SharedKey);
    let peers = format!("peers: {{siteName: a, publicKey: {}}}\n", key(1));
    assert_eq!(good(&format!("trust: pinned\n{peers}")).trust, Trust::Pinned);
    has(&bad("trust: Pinned\n"), &["config.yaml:4: error: trust: is Pinned, but there are no peers"]);
    has(&bad("trust: Pined\n"), &["did you mean Pinned?"]);
}

#[test]
fn denied_keys_are_public_keys() {
    let config = good(&format!("deniedKeys: [{}, {}, {}]\n", key(1), key(2), key(1)));
    assert_eq!(config.denied_keys, [key(1), key(2)]);
    has(&bad("deniedKeys: [x]\n"), &["deniedKeys[0]: \"x\" does not start with wvp1_"]);
    let mesh = wovenet_config::key::encode_key("wvk1_", &[9; 32]);
    let text = bad(&format!("deniedKeys: [{}]\n", mesh.as_str()));
    has(&text, &["deniedKeys[0]: is a mesh key"]);
    assert!(!text.contains(mesh.as_str()));
    let both = format!("deniedKeys: [{k}]\npeers: [{{siteName: a, publicKey: {k}}}]\n", k = key(1));
    has(&warnings(&both), &["peers[0].publicKey: \"a\" has a key that deniedKeys refuses"]);
}

#[test]
fn log_words_are_read_in_any_case() {
    let logger = good("logger: {level: DEBUG, format: Json, file: x.log}\n").logger;
    assert_eq!((logger.level, logger.format), (Level::Debug, Format::Json));
    assert_eq!(logger.file.as_deref(), Some("x.log".as_ref()));
    assert_eq!(good("logger: {level: '', file: ''}\n").logger, wovenet_config::logger::Logger::default());
    has(&bad("logger: {level: wran}\n"), &["logger.level: \"wran\" is not supported; did you mean warn?"]);
    has(&warnings("logger: {file: ~/x}\n"), &["~ and ${…} are not expanded"]);
}

fn api(keys: &str) -> String {
    format!("restfulApi: {{enabled: true, {keys}}}\n")
}

const AUTH: &str = "auth: {basicAuth: {user: me, password: s3cret-pw}}, tls: {enabled: true, key: k, cert: c}";

#[test]
fn an_api_without_credentials_listens_on_loopback_only() {
    for (address, listen) in [
        ("127.0.0.1:8080", "127.0.0.1:8080"),
        ("localhost:8080", "127.0.0.1:8080"),
        ("[::1]:8080", "[::1]:8080"),
        (":8080", "127.0.0.1:8080"),
        ("", "127.0.0.1:9443"),
        ("127.0.0.1", "127.0.0.1:9443"),
    ] {
        let config = good(&api(&format!("listenAddr: '{address}'")));
        assert_eq!(config.api.expect("api").listen.to_string(), listen);
    }
    has(&warnings(&api("listenAddr: ':8080'")), &["the API listens on 127.0.0.1:8080 only"]);
    let text = bad(&api("listenAddr: 0.0.0.0:8080"));
    has(
        &text,
        &[
            "restfulApi.listenAddr: \"0.0.0.0:8080\" would let anyone use the API: set restfulApi.auth.basicAuth or bearerTokens",
        ],
    );
    has(&bad(&api("listenAddr: '0.0.0.0:8080', auth: {basicAuth: []}")), &["would let anyone use the API"]);
}

#[test]
fn an_api_with_credentials_listens_where_it_is_told() {
    for (address, listen) in
        [("0.0.0.0:8080", "0.0.0.0:8080"), (":8080", "[::]:8080"), ("'[2001:db8::1]'", "[2001:db8::1]:9443")]
    {
        let address = address.trim_matches('\'');
        let more = api(&format!("listenAddr: '{address}', {AUTH}"));
        let api = good(&more).api.expect("api");
        assert_eq!(api.listen.to_string(), listen);
        assert_eq!(api.users.len(), 1);
        assert_eq!(warnings(&more), "");
    }
    has(&warnings(&api("listenAddr: ':1', auth: {bearerTokens: a-token-of-enough-length}")), &["travel in clear"]);
    let operator = api(&format!("listenAddr: ':1', auth: {{operatorKey: {}}}", key(5)));
    assert_eq!(good(&operator).api.expect("api").operator_key, Some(key(5)));
    has(&bad(&api("listenAddr: 'host:80'")), &["no valid address"]);
    has(&bad(&api("listenAddr: '127.0.0.1:x'")), &["no valid port"]);
}

#[test]
fn bad_credentials_and_missing_files_are_errors_only_when_the_api_is_enabled() {
    let keys = "auth: {basicAuth: [{user: '', password: ''}, {user: 'a:b', password: x}], bearerTokens: ['a b']}, tls: {enabled: true}";
    let text = bad(&api(keys));
    has(
        &text,
        &[
            "basicAuth[0].user: is required",
            "basicAuth[0].password: is required",
            "basicAuth[1].user: \"a:b\" has a colon",
        ],
    );
    has(&text, &["bearerTokens[0]: is no bearer token", "tls.key: is required", "tls.cert: is required"]);
    assert_eq!(good(&format!("restfulApi: {{enabled: false, {keys}}}\n")).api, None);
    assert_eq!(good("restfulApi: {listenAddr: '0.0.0.0:80'}\n").api, None);
}

#[test]
fn health_is_off_unless_it_is_in_the_file() {
    for (keys, listen) in [
        ("{}", Some("127.0.0.1:9090")),
        ("{enabled: true}", Some("0.0.0.0:9090")),
        ("{enabled: false, listenAddr: ':1'}", None),
        ("{listenAddr: ':1'}", Some("[::]:1")),
        ("{listenAddr: 10.0.0.1}", Some("10.0.0.1:9090")),
    ] {
        let health = good(&format!("health: {keys}\n")).health;
        assert_eq!(health.map(|health| health.listen.to_string()).as_deref(), listen, "{keys}");
    }
    assert_eq!(good("").health, None);
    has(&bad("health: {listenAddr: 'x:y'}\n"), &["health.listenAddr: \"x:y\" has no valid port"]);
}
