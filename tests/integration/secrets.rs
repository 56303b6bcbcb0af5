//! After a full run with every kind of secret, none of them is in anything that people read.

use wovenet_tests::http;
use wovenet_tests::mesh::{Mesh, loopback};
use wovenet_tests::until::PATIENCE;

use crate::apps;
use crate::clients::{echoes, refused};

const PASSPHRASE: &str = "correct horse battery staple";
const API_PASSWORD: &str = "the-password-of-the-api";
const TOKEN: &str = "a-bearer-token-of-some-length";
const BROKER_PASSWORD: &str = "the-password-of-the-broker";
const WRONG_PASSWORD: &str = "a-password-that-is-wrong";

#[test]
fn fault_22_no_secret_is_in_a_log_a_metric_a_status_a_configuration_or_an_error() {
    let mesh = Mesh::start().unwrap();
    let broker = mesh.broker.as_ref().unwrap().port();
    let auth = format!(", auth: {{basicAuth: [{{user: admin, password: {API_PASSWORD}}}], bearerTokens: [{TOKEN}]}}");
    let secretive = |mut site: wovenet_tests::mesh::SiteConfiguration| {
        site.broker = Some(format!("mqtt://mesh:{BROKER_PASSWORD}@127.0.0.1:{broker}"));
        site.api_settings.clone_from(&auth);
        site
    };
    let office = mesh.site("office").unwrap().listening().unwrap().exposes("echo", apps::echo());
    let office = mesh.run(secretive(office.exposes("dead", apps::nobody()))).unwrap();
    let home = mesh.site("home").unwrap().uses("office", "echo").unwrap().uses("office", "dead").unwrap();
    let mut home = mesh.run(secretive(home)).unwrap();
    home.ready().unwrap();
    echoes(home.local("office/echo"));
    refused(home.local("office/dead"));

    let mut told = Vec::new();
    let api = loopback(home.configuration.api);
    let bearer = format!("Authorization: Bearer {TOKEN}");
    let wrong = format!("Authorization: Bearer {WRONG_PASSWORD}");
    for path in ["/api/v1/config", "/api/v1/status", "/api/v1/remoteSites"] {
        let reply = http::request(api, "GET", path, &[&bearer], "").unwrap();
        assert_eq!(reply.status, 200, "{path}");
        told.push((path, reply.body));
        assert_eq!(http::request(api, "GET", path, &[&wrong], "").unwrap().status, 401);
    }
    // A rotation to a passphrase, a document that is wrong, and one that breaks off inside a secret.
    let json = ["Content-Type: application/json", &bearer];
    let put = |body: &str| http::request(api, "PUT", "/api/v1/config", &json, body).unwrap();
    let rotated = told[0].1.replacen("\"key\":", &format!("\"secondaryKey\":\"{PASSPHRASE}\",\"key\":"), 1);
    let reply = put(&rotated);
    assert_eq!(reply.status, 200, "{}", reply.body);
    told.push(("answer to PUT", reply.body));
    told.push(("refusal of PUT", put(&format!("{{\"crypto\":{{\"key\":[\"{PASSPHRASE}\"]}}}}")).body));
    let text = home.configuration.render();
    home.agent.configure(&text.replace("siteName: home", &format!("siteName: [{TOKEN}]"))).unwrap();
    home.agent.process().unwrap().signal("HUP").unwrap();
    let refused = || home.agent.log().contains("the configuration is refused").then_some(());
    wovenet_tests::until::until("the file is refused", PATIENCE, refused).unwrap();
    home.agent.configure(&text.replace(&home.configuration.key, &home.configuration.key.replace('a', "b"))).unwrap();
    told.push(("check", output(home.agent.command("check").unwrap())));
    home.agent.configure(&text).unwrap();
    told.push(("check", output(home.agent.command("check").unwrap())));
    told.push(("identity", output(home.agent.command("identity").unwrap())));
    let mut status = home.agent.command("status").unwrap();
    told.push(("status", output(std::mem::replace(&mut status, home.agent.command("status").unwrap()))));
    status.args(["-o", "json"]);
    told.push(("status -o json", output(status)));
    let mut denied = home.agent.command("status").unwrap();
    denied.args(["--user", "admin"]).env("WOVENET_API_PASSWORD", WRONG_PASSWORD);
    told.push(("status with a wrong password", output(denied)));
    told.push(("metrics", http::get(loopback(home.configuration.health), "/metrics").unwrap()));
    home.agent.process().unwrap().terminate(PATIENCE).unwrap();
    told.push(("log of home", home.agent.log()));
    told.push(("log of office", office.agent.log()));

    let mut secrets: Vec<String> =
        [PASSPHRASE, API_PASSWORD, TOKEN, BROKER_PASSWORD, WRONG_PASSWORD].map(str::to_owned).to_vec();
    secrets.push(mesh.key.clone());
    secrets.push(mesh.key.trim_start_matches("wvk1_").to_owned());
    for agent in [&home.agent, &office.agent] {
        let pem = std::fs::read_to_string(agent.directory().join(".wovenet/state/site.key")).unwrap();
        secrets.extend(pem.lines().filter(|line| !line.starts_with("-----") && line.len() > 16).map(str::to_owned));
    }
    assert!(secrets.len() >= 9, "both private keys were read");
    for (place, text) in &told {
        assert!(!text.is_empty(), "{place} is empty");
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{place} tells a secret: {secret}\n{text}");
        }
    }
}

fn output(mut command: std::process::Command) -> String {
    let output = command.output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
