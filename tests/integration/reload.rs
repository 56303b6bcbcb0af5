//! Another configuration while the agent runs: refused whole or applied whole, and only the difference is touched.

use serde_json::{Value, json};
use wovenet_tests::mesh::{Mesh, Site, of_listener};
use wovenet_tests::until::{PATIENCE, until};

use crate::apps;
use crate::clients::{ask, connect, echoes, exchange, expect_reset};

fn start(mesh: &Mesh) -> [Site; 2] {
    let office = mesh.site("office").unwrap().listening().unwrap().exposes("echo", apps::echo());
    let office = mesh.run(office.exposes("answers", apps::answers(b"answer"))).unwrap();
    let home = mesh.run(mesh.site("home").unwrap().uses("office", "echo").unwrap()).unwrap();
    home.ready().unwrap();
    [home, office]
}

fn is_listening(app: &'static str) -> impl Fn(&Value) -> bool {
    move |status| of_listener(status, app)["state"] == "listening"
}

fn channels(site: &Site) -> [Value; 2] {
    let office = site.connected("office", 2).unwrap();
    [office["channels"][0]["id"].clone(), office["channels"][1]["id"].clone()]
}

#[test]
fn a_changed_file_is_applied_by_itself_and_touches_only_what_differs() {
    let mesh = Mesh::start().unwrap();
    let [mut home, _office] = start(&mesh);
    let mut client = connect(home.local("office/echo"));
    exchange(&mut client);
    let before = channels(&home);
    let changed = home.configuration.clone().uses("office", "answers").unwrap();
    home.configure(changed).unwrap();
    home.sees("the new app listens", is_listening("office/answers")).unwrap();
    assert_eq!(ask(home.local("office/answers"), b"").unwrap(), b"answer");
    exchange(&mut client);
    assert_eq!(channels(&home), before);

    let mut without = home.configuration.clone();
    without.remote.remove(1);
    home.configure(without).unwrap();
    home.sees("the app is gone", |status| of_listener(status, "office/answers").is_null()).unwrap();
    exchange(&mut client);
    assert_eq!(channels(&home), before);
}

#[test]
fn a_bad_file_is_refused_whole_and_the_running_configuration_stays() {
    let mesh = Mesh::start().unwrap();
    let [mut home, _office] = start(&mesh);
    let mut client = connect(home.local("office/echo"));
    exchange(&mut client);
    let good = home.configuration.clone();
    let mut bad = good.clone().uses("office", "answers").unwrap();
    bad.remote.push("{siteName: office, appName: broken, localSocket: nonsense}".into());
    home.configure(bad).unwrap();
    home.agent.process().unwrap().signal("HUP").unwrap();
    let told = || home.agent.log().contains("the configuration is refused, the running one stays").then_some(());
    until("the refusal is told", PATIENCE, told).unwrap();
    assert!(home.agent.log().contains("config.yaml:"), "{}", home.agent.log());
    let status = home.status().unwrap();
    assert!(of_listener(&status, "office/answers").is_null(), "half of a bad document was applied");
    exchange(&mut client);
    echoes(home.local("office/echo"));
    // A site's name cannot change while it runs: that is refused too, and told.
    let mut renamed = good.clone();
    renamed.name = "elsewhere".into();
    let text = renamed.render();
    home.agent.configure(&text).unwrap();
    until("that is told", PATIENCE, || home.agent.log().contains("siteName cannot change").then_some(())).unwrap();
    let refused = home.metric("wovenet_agent_config_apply_total", &["result=\"refused\""]).unwrap();
    assert!(refused >= 2.0, "{refused} refused configurations are counted");
    let stale = || home.metric("wovenet_agent_config_stale_seconds", &[]).unwrap();
    assert!(stale() > 0.0, "the file waits to be mended");
    home.configure(good.uses("office", "answers").unwrap()).unwrap();
    home.sees("a good file is applied again", is_listening("office/answers")).unwrap();
    assert_eq!(home.metric("wovenet_agent_config_stale_seconds", &[]).unwrap(), 0.0);
    // What a person asks in vain over the API waits for nobody.
    let wrong = json!({"siteName": "office", "appName": "wrong", "localSocket": "nonsense"});
    assert_eq!(home.api("POST", "/remoteApps", &wrong.to_string()).unwrap().status, 422);
    assert_eq!(home.metric("wovenet_agent_config_stale_seconds", &[]).unwrap(), 0.0);
    exchange(&mut client);
}

#[test]
fn sighup_applies_the_file_and_a_narrowed_app_loses_exactly_its_streams() {
    let mesh = Mesh::start().unwrap();
    let [home, mut office] = start(&mesh);
    let home_too = mesh.run(mesh.site("home2").unwrap().uses("office", "echo").unwrap()).unwrap();
    home_too.ready().unwrap();
    let (mut cut, mut kept) = (connect(home.local("office/echo")), connect(home_too.local("office/echo")));
    exchange(&mut cut);
    exchange(&mut kept);
    let mut narrowed = office.configuration.clone();
    narrowed.exposed[0] = narrowed.exposed[0].replace("\"*\"", "home2");
    office.configure(narrowed).unwrap();
    office.agent.process().unwrap().signal("HUP").unwrap();
    let took = expect_reset(&mut cut);
    assert!(took.as_secs() < 3, "{took:?}");
    exchange(&mut kept);
}

#[test]
fn the_api_adds_replaces_and_removes_apps_and_keeps_them_over_a_restart() {
    let mesh = Mesh::start().unwrap();
    let [mut home, _office] = start(&mesh);
    let mut client = connect(home.local("office/echo"));
    exchange(&mut client);
    let before = channels(&home);
    let port = apps::nobody();
    let app = json!({"siteName": "office", "appName": "answers", "localSocket": format!("tcp:127.0.0.1:{port}")});
    let reply = home.api("POST", "/remoteApps", &app.to_string()).unwrap();
    assert!(reply.status == 200 || reply.status == 201, "{reply:?}");
    let address = wovenet_tests::mesh::loopback(port);
    assert_eq!(ask(address, b"").unwrap(), b"answer");
    assert_eq!(home.api("POST", "/remoteApps", &app.to_string()).unwrap().status, 409);
    let wrong = json!({"siteName": "office", "appName": "wrong", "localSocket": "nonsense"});
    assert_eq!(home.api("POST", "/remoteApps", &wrong.to_string()).unwrap().status, 422);

    exchange(&mut client);
    assert_eq!(channels(&home), before);
    drop(client);
    assert!(home.agent.process().unwrap().terminate(PATIENCE).unwrap().success());
    home.start().unwrap();
    home.ready().unwrap();
    assert_eq!(ask(address, b"").unwrap(), b"answer");

    let reloads = |home: &Site| home.metric("wovenet_agent_config_apply_total", &["result=\"ok\""]).unwrap();
    let before = reloads(&home);
    home.agent.process().unwrap().signal("HUP").unwrap();
    until("the file was read again", PATIENCE, || (reloads(&home) > before).then_some(())).unwrap();
    assert_eq!(ask(address, b"").unwrap(), b"answer");

    let reply = home.api("DELETE", "/remoteApps/office/answers", "").unwrap();
    assert!(reply.status == 200 || reply.status == 204, "{reply:?}");
    until("its socket is closed", PATIENCE, || std::net::TcpStream::connect(address).is_err().then_some(())).unwrap();
    assert_eq!(home.api("DELETE", "/remoteApps/office/answers", "").unwrap().status, 404);
    echoes(home.local("office/echo"));
}

#[test]
fn what_the_api_changed_ends_with_a_changed_file_and_not_with_one_that_is_refused() {
    let mesh = Mesh::start().unwrap();
    let [mut home, _office] = start(&mesh);
    let port = apps::nobody();
    let address = wovenet_tests::mesh::loopback(port);
    let app = json!({"siteName": "office", "appName": "answers", "localSocket": format!("tcp:127.0.0.1:{port}")});
    home.api("POST", "/remoteApps", &app.to_string()).unwrap();
    let good = home.configuration.clone();
    let mut renamed = good.clone();
    renamed.name = "other".to_owned();
    home.agent.configure(&renamed.render()).unwrap();
    until("it is refused", PATIENCE, || home.agent.log().contains("siteName cannot change").then_some(())).unwrap();
    assert_eq!(ask(address, b"").unwrap(), b"answer");
    let mut edited = good;
    edited.level = "info";
    home.configure(edited).unwrap();
    until("its socket is closed", PATIENCE, || std::net::TcpStream::connect(address).is_err().then_some(())).unwrap();
}

#[test]
fn the_whole_configuration_is_read_changed_and_put_back_over_the_api() {
    let mesh = Mesh::start().unwrap();
    let [home, _office] = start(&mesh);
    let mut client = connect(home.local("office/echo"));
    exchange(&mut client);
    let mut document: Value = serde_json::from_str(&home.api("GET", "/config", "").unwrap().body).unwrap();
    let port = apps::nobody();
    let more = json!({"siteName": "office", "appName": "answers", "localSocket": format!("tcp:127.0.0.1:{port}")});
    document["remoteApps"].as_array_mut().unwrap().push(more);
    let reply = home.api("PUT", "/config", &document.to_string()).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(ask(wovenet_tests::mesh::loopback(port), b"").unwrap(), b"answer");
    document["remoteApps"].as_array_mut().unwrap().push(json!({"siteName": "office"}));
    let reply = home.api("PUT", "/config", &document.to_string()).unwrap();
    assert_eq!(reply.status, 422, "{}", reply.body);
    assert_eq!(home.status().unwrap()["listeners"].as_array().unwrap().len(), 2);
    exchange(&mut client);
}
