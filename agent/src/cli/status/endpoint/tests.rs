use clap::Parser;

use super::*;

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    status: StatusArguments,
    /// The program's global option.
    #[arg(long)]
    config: Option<std::path::PathBuf>,
}

const SITE: &str = "siteName: home\ncrypto: { key: a-passphrase-that-is-long }\n";

fn find(arguments: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<Endpoint> {
    let program = Program::parse_from([&["status"], arguments].concat());
    let environment = environment.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    Endpoint::find(&StatusArguments { config: program.config, ..program.status }, &environment)
}

/// Writes a file of a site with `api` and finds its API.
fn find_in(api: &str) -> anyhow::Result<Endpoint> {
    find_in_file("config.yaml", &format!("{SITE}messageChannel: {{ protocol: mqtt }}\n{api}"))
}

fn find_in_file(name: &str, content: &str) -> anyhow::Result<Endpoint> {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join(".wovenet");
    std::fs::create_dir(&directory).unwrap();
    std::fs::write(directory.join(name), content).unwrap();
    find(&[], &[("HOME", home.path().to_str().unwrap())])
}

fn error(found: anyhow::Result<Endpoint>) -> String {
    found.err().map(|error| format!("{error:#}")).unwrap_or_default()
}

#[test]
fn the_file_of_the_agent_tells_where_the_api_is_and_what_to_show_it() {
    let api = "restfulApi: { enabled: true, listenAddr: ':9443', tls: { enabled: true, key: k.pem, cert: c.pem }, \
               auth: { basicAuth: [{ user: ann, password: pass }], bearerTokens: [0123456789abcdef] } }";
    let endpoint = find_in(api).unwrap();
    assert_eq!(endpoint.to_string(), "127.0.0.1:9443");
    assert_eq!(endpoint.trust, Trust::Certificate("c.pem".into()));
    assert_eq!(endpoint.authorization.unwrap().as_str(), "Bearer 0123456789abcdef");
}

#[test]
fn the_file_is_looked_for_under_every_name_that_the_agent_looks_for() {
    // JSON is YAML too.
    let content = r#"{"siteName": "home", "crypto": {"key": "a-passphrase-that-is-long"},
        "messageChannel": {"protocol": "mqtt"}, "restfulApi": {"enabled": true, "listenAddr": "127.0.0.1:9443"}}"#;
    for name in ["config.yaml", "config.yml", "config.json", "config"] {
        assert_eq!(find_in_file(name, content).unwrap().to_string(), "127.0.0.1:9443", "{name}");
    }
    let home = tempfile::tempdir().unwrap();
    let missing = error(find(&[], &[("HOME", home.path().to_str().unwrap())]));
    assert!(missing.contains("config.yaml") && missing.contains("--api"), "{missing}");
}

#[test]
fn a_file_without_an_api_says_what_to_add() {
    assert!(error(find_in("")).contains("enables no API; add this"));
    assert!(error(find_in("")).contains(EXAMPLE));
}

#[test]
fn a_missing_or_invalid_file_is_named_with_what_to_do() {
    let missing = error(find(&["--config", "/nowhere/config.yaml"], &[]));
    assert!(missing.contains("/nowhere/config.yaml") && missing.contains("--api"), "{missing}");
    let invalid = error(find_in("restfulApi: { enabled: true, listenAddr: '0.0.0.0:1' }"));
    assert!(invalid.contains("config.yaml:4: error: restfulApi.listenAddr"), "{invalid}");
    assert!(error(find(&[], &[])).contains("HOME"));
}

#[test]
fn a_url_needs_no_file() {
    let endpoint = find(&["--api", "https://[2001:db8::1]:444", "--ca", "ca.pem"], &[]).unwrap();
    assert_eq!((endpoint.host.as_str(), endpoint.to_string().as_str()), ("2001:db8::1", "[2001:db8::1]:444"));
    assert_eq!(endpoint.trust, Trust::Authorities("ca.pem".into()));
    assert_eq!(find(&["--api", "http://agent"], &[]).unwrap().to_string(), "agent:80");
    assert!(error(find(&["--api", "ftp://agent"], &[])).contains("write it like"));
}

#[test]
fn passwords_come_from_a_file_or_a_variable() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("secret");
    std::fs::write(&file, "pass\n").unwrap();
    let (file, api) = (file.to_str().unwrap(), ["--api", "http://agent", "--user", "ann"]);
    let ann = Some("Basic YW5uOnBhc3M=".to_owned());
    let shown = |found: anyhow::Result<Endpoint>| found.unwrap().authorization.map(|text| text.to_string());
    assert_eq!(shown(find(&[&api[..], &["--password-file", file]].concat(), &[])), ann);
    assert_eq!(shown(find(&api, &[(PASSWORD_VARIABLE, "pass")])), ann);
    assert!(error(find(&api, &[])).contains(PASSWORD_VARIABLE));
    assert_eq!(shown(find(&["--api", "http://agent", "--token-file", file], &[])), Some("Bearer pass".to_owned()));
}
