//! Configurations that ended badly elsewhere: a clear error with its line and exit code 1, or a start that works.

use std::process::{Command, Output};

use wovenet_tests::mesh::{Mesh, Site};
use wovenet_tests::process::sibling;
use wovenet_tests::until::{PATIENCE, until};

use crate::apps;
use crate::clients::echoes;

/// Runs `run` or `check` on a file with `text`; the agent must end by itself.
fn ends(command: &str, text: &str) -> (Option<i32>, String) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.yaml");
    std::fs::write(&file, text).unwrap();
    let mut agent = Command::new(sibling("wovenet-agent").unwrap());
    agent.args([command, "--config"]).arg(&file).env("HOME", directory.path()).current_dir(directory.path());
    told(&agent.output().unwrap())
}

fn told(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

/// Three lines: the least that a site needs.
fn least() -> String {
    let key = wovenet_agent::peer::mesh_key::generate().unwrap();
    format!("siteName: site\ncrypto: {{key: {}}}\nmessageChannel: {{protocol: mqtt}}\n", key.as_str())
}

#[test]
fn b14_what_made_upstream_panic_is_an_error_with_its_line() {
    let cases = [
        ("localExposedApps: [null]\n", "localExposedApps[0]: is empty"),
        ("remoteApps: [~]\n", "remoteApps[0]: is empty"),
        (
            "restfulApi: {enabled: true, listenAddr: \"127.0.0.1:1\", auth: {basicAuth: [{user: '', password: x}]}}\n",
            "restfulApi.auth.basicAuth[0].user",
        ),
    ];
    for (section, message) in cases {
        let (code, text) = ends("run", &(least() + section));
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("config.yaml:4: error: ") && text.contains(message), "{text}");
        assert!(!text.contains("panicked"), "{text}");
    }
    let (code, text) = ends("check", &least());
    assert_eq!(code, Some(0), "no mqtt section means the defaults: {text}");
}

#[test]
fn b15_the_directory_of_a_log_file_is_made_and_a_log_that_cannot_be_is_an_error() {
    let mesh = Mesh::start().unwrap();
    let mut site = mesh.site("site").unwrap();
    let log = mesh.directory().join("not/yet/there/agent.log");
    let text = site.render().replace("{level: debug}", &format!("{{level: debug, file: {}}}", log.display()));
    site.name = "logging".into();
    let mut site: Site = mesh.prepare(site).unwrap();
    site.agent.configure(&text).unwrap();
    site.start().unwrap();
    site.ready().unwrap();
    assert!(std::fs::read_to_string(&log).unwrap().contains("the agent is ready"));

    let (code, text) = ends("run", &(least() + "logger: {file: /proc/no/agent.log}\n"));
    assert_eq!(code, Some(1));
    assert!(text.contains("cannot open the log file /proc/no/agent.log"), "{text}");
}

#[test]
fn b22_nothing_wraps_and_every_doubt_is_told_with_its_line() {
    let sockets =
        "tunnel:\n  localSockets:\n  - {mode: dedicated-address, transportProtocol: quic, listenPort: 70000}\n";
    let (code, text) = ends("check", &(least() + sockets));
    assert_eq!(code, Some(1));
    assert!(text.contains("config.yaml:6: error: ") && text.contains("70000"), "{text}");

    let (code, text) = ends("check", &(least() + "remoteAps: []\n"));
    assert_eq!(code, Some(0));
    assert!(text.contains("config.yaml:4: warning: ") && text.contains("did you mean remoteApps?"), "{text}");

    let octal = "siteName: site\ncrypto: {key: 0123456701234567}\nmessageChannel: {protocol: mqtt}\n";
    let (_, text) = ends("check", octal);
    assert!(text.contains("config.yaml:2: warning: crypto.key") && text.contains("quote"), "{text}");
}

#[test]
fn b22_a_stray_variable_named_like_a_section_hides_nothing() {
    let mesh = Mesh::start().unwrap();
    let office = mesh.site("office").unwrap().listening().unwrap().exposes("echo", apps::echo());
    let mut office = mesh.prepare(office).unwrap();
    let mut command = Command::new(sibling("wovenet-agent").unwrap());
    for name in ["CRYPTO", "TUNNEL", "LOGGER", "RESTFULAPI", "LOCALEXPOSEDAPPS"] {
        command.env(name, "x");
    }
    office.agent.start_with(command).unwrap();
    let home = mesh.run(mesh.site("home").unwrap().uses("office", "echo").unwrap()).unwrap();
    home.ready().unwrap();
    echoes(home.local("office/echo"));
}

/// In a pod the host's name is the pod's, and a document is the same for every node.
#[test]
fn the_environment_names_the_node_unless_the_file_does() {
    let mesh = Mesh::start().unwrap();
    let witness = mesh.run(mesh.site("witness").unwrap()).unwrap();
    for (name, in_file, host) in [("one", "", "node-1"), ("two", "nodeName: node-2\n", "node-2")] {
        let mut site = mesh.prepare(mesh.site(name).unwrap().listening().unwrap()).unwrap();
        site.agent.configure(&(site.configuration.render() + in_file)).unwrap();
        let mut command = Command::new(sibling("wovenet-agent").unwrap());
        command.env("WOVENET_NODE_NAME", "node-1");
        site.agent.start_with(command).unwrap();
        let told = || {
            let log = witness.agent.log();
            let line = log.lines().find(|line| line.contains("received a remote site's") && line.contains(name));
            line.map(str::to_owned)
        };
        let (line, _) = until("the site is known", PATIENCE, told).unwrap();
        assert!(line.contains(host), "{line}");
    }
}
