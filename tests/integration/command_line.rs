//! The command line as a person uses it: what it prints, and its exit codes.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use wovenet_tests::mesh::Mesh;
use wovenet_tests::process::sibling;

use crate::apps;

fn agent(arguments: &[&str]) -> Output {
    Command::new(sibling("wovenet-agent").unwrap()).args(arguments).env_remove("HOME").output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn keygen_of(passphrase: &str) -> Output {
    let mut command = Command::new(sibling("wovenet-agent").unwrap());
    command.args(["keygen", "--from-passphrase"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(passphrase.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn keygen_makes_another_key_each_time_and_the_same_of_a_passphrase() {
    let [one, two] = [agent(&["keygen"]), agent(&["keygen"])].map(|output| text(&output.stdout));
    assert!(one.starts_with("wvk1_") && one.trim().len() == 63, "{one}");
    assert_ne!(one, two);
    let [one, two] = ["a passphrase of several words\n", "a passphrase of several words"].map(keygen_of);
    assert!(one.status.success() && text(&one.stdout).starts_with("wvk1_"));
    assert_eq!(one.stdout, two.stdout);
    let short = keygen_of("short");
    assert_eq!((short.status.code(), short.stdout.len()), (Some(1), 0));
    assert!(text(&short.stderr).contains("at least 8 bytes"));
}

#[test]
fn sites_with_a_passphrase_and_with_its_converted_key_join() {
    let words = "correct horse battery staple";
    let mesh = Mesh::start().unwrap();
    let mut office = mesh.site("office").unwrap().listening().unwrap().exposes("echo", apps::echo());
    office.key = words.into();
    let _office = mesh.run(office).unwrap();
    let mut home = mesh.site("home").unwrap().uses("office", "echo").unwrap();
    home.key = text(&keygen_of(words).stdout).trim().to_owned();
    let home = mesh.run(home).unwrap();
    home.connected("office", 2).unwrap();
}

#[test]
fn version_help_and_completions_need_nothing() {
    let version = agent(&["version"]);
    assert!(version.status.success());
    assert_eq!(text(&version.stdout), format!("wovenet-agent {}\n", env!("CARGO_PKG_VERSION")));
    assert!(text(&agent(&["--version"]).stdout).starts_with("wovenet-agent "));
    for shell in ["bash", "zsh", "fish"] {
        let completions = agent(&["completions", shell]);
        assert!(completions.status.success() && text(&completions.stdout).contains("keygen"), "{shell}");
    }
    assert!(text(&agent(&["help"]).stdout).contains("completions"));
    assert_eq!(agent(&["nonsense"]).status.code(), Some(2));
}

#[test]
fn check_tells_every_error_with_its_line_and_the_nearest_key() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.yaml");
    let path = file.to_str().unwrap();
    let written = "siteName: site\ncrypto: {key: a passphrase of words}\nmesageChannel: {protocol: mqtt}\n\
                   remoteApps:\n- {siteName: other, appName: app, localSocket: \"udp:1.2.3.4:5\"}\n";
    std::fs::write(&file, written).unwrap();
    let checked = agent(&["check", path]);
    assert_eq!(checked.status.code(), Some(1));
    let errors = text(&checked.stderr);
    assert!(errors.contains("config.yaml:1: error: messageChannel: is required"), "{errors}");
    assert!(errors.contains("config.yaml:3: warning: ") && errors.contains("did you mean messageChannel?"), "{errors}");
    assert!(errors.contains("config.yaml:5: error: remoteApps[0].localSocket: "), "{errors}");
    std::fs::write(&file, written.replace("mesage", "message").replace("udp:", "tcp:")).unwrap();
    for arguments in [["check", path].as_slice(), &["check", "--config", path], &["--config", path, "check"]] {
        let checked = agent(arguments);
        assert!(checked.status.success(), "{}", text(&checked.stderr));
        assert!(text(&checked.stdout).contains("site site is fine (0 tunnel sockets, 0 exposed apps, 1 remote apps"));
    }
    let missing = agent(&["check", "/nowhere/config.yaml"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("cannot read /nowhere/config.yaml"));
}

#[test]
fn without_a_configuration_every_command_says_where_one_is_looked_for_and_fails() {
    for command in ["run", "check", "identity"] {
        let output = agent(&[command]);
        assert_eq!(output.status.code(), Some(1), "{command}");
        assert!(text(&output.stderr).contains(".wovenet/config.yaml"), "{}", text(&output.stderr));
    }
}

#[test]
fn the_file_in_the_home_directory_is_the_default_and_identity_is_stable() {
    let mesh = Mesh::start().unwrap();
    let site = mesh.prepare(mesh.site("site").unwrap()).unwrap();
    let home = site.agent.directory().join(".wovenet");
    std::fs::create_dir_all(&home).unwrap();
    std::fs::copy(site.agent.configuration(), home.join("config.yaml")).unwrap();
    let identity = || {
        let mut command = Command::new(sibling("wovenet-agent").unwrap());
        text(&command.arg("identity").env("HOME", site.agent.directory()).output().unwrap().stdout)
    };
    let first = identity();
    assert!(first.contains("siteName:  site") && first.contains("publicKey: wvp1_"), "{first}");
    assert_eq!(identity(), first);
}

#[test]
fn identity_is_told_while_the_agent_runs() {
    let mesh = Mesh::start().unwrap();
    let site = mesh.run(mesh.site("site").unwrap()).unwrap();
    site.ready().unwrap();
    let told = site.agent.command("identity").unwrap().output().unwrap();
    assert!(told.status.success(), "{}", text(&told.stderr));
    assert!(text(&told.stdout).contains(&format!("publicKey: {}", site.public_key().unwrap())));
}

#[test]
fn status_is_a_table_or_json_and_fails_clearly_when_no_agent_runs() {
    let mesh = Mesh::start().unwrap();
    let office = mesh.site("office").unwrap().listening().unwrap().exposes("echo", apps::echo());
    let _office = mesh.run(office).unwrap();
    let mut home = mesh.run(mesh.site("home").unwrap().uses("office", "echo").unwrap()).unwrap();
    home.ready().unwrap();
    let table = home.agent.command("status").unwrap().output().unwrap();
    assert!(table.status.success(), "{}", text(&table.stderr));
    let table = text(&table.stdout);
    for word in ["home", "office", "echo", "connected", "listening"] {
        assert!(table.contains(word), "{word} is not in\n{table}");
    }
    let told = home.agent.command("status").unwrap().args(["-o", "json"]).output().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!((told["siteName"].as_str(), told["ready"].as_bool()), (Some("home"), Some(true)));
    home.kill().unwrap();
    let failed = home.agent.command("status").unwrap().output().unwrap();
    assert_eq!((failed.status.code(), failed.stdout.len()), (Some(1), 0));
    assert!(!failed.stderr.is_empty());
}

#[test]
fn extra_arguments_of_run_are_ignored_and_a_second_agent_on_one_state_is_an_error() {
    let mesh = Mesh::start().unwrap();
    let site = mesh.run(mesh.site("site").unwrap()).unwrap();
    site.ready().unwrap();
    let second = site.agent.command("run").unwrap().arg("extra").output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(text(&second.stderr).contains("state"), "{}", text(&second.stderr));
}
