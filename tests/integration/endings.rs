//! How connections end: a reset for a failure, an end of file for an end of file, each way by itself.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use wovenet_tests::mesh::{Mesh, Site, of_listener};
use wovenet_tests::until::PATIENCE;

use crate::apps;
use crate::clients::{ask, connect, echoes, exchange, expect_reset, expect_within, refused, reset};

/// Within this a client is told, where a round trip is a fraction of it.
const AT_ONCE: Duration = Duration::from_secs(1);

#[test]
fn b5_fault_66_fault_70_every_failure_resets_the_client_within_a_round_trip() {
    let mesh = Mesh::start().unwrap();
    let mut office = mesh.site("office").unwrap().listening().unwrap().exposes("dead", apps::nobody());
    office.exposed.push("{appName: range, mode: range, portRange: [80], addressRange: [10.0.2.0/24]}".into());
    office.exposed.push(r#"{appName: private, appSocket: "tcp:127.0.0.1:9", allowedSites: [others]}"#.into());
    let office = mesh.run(office).unwrap();
    let home = mesh.site("home").unwrap().uses("office", "dead").unwrap().uses("office", "absent").unwrap();
    let home = home.uses("office", "private").unwrap().uses("office", "range").unwrap();
    let outside = r#", appSocket: "tcp:10.0.3.1:80""#;
    let mut home = home.uses("nowhere", "app").unwrap();
    let outside_port = apps::nobody();
    home.remote
        .push(format!(r#"{{siteName: office, appName: range, localSocket: "tcp:127.0.0.1:{outside_port}"{outside}}}"#));
    home.remote[4] = home.remote[4].replace('}', ", connectTimeout: 1s}");
    let home = mesh.run(home).unwrap();
    home.connected("office", 2).unwrap();
    for app in ["office/dead", "office/absent", "office/private", "office/range"] {
        expect_within(AT_ONCE, || refused(home.local(app)));
    }
    expect_within(AT_ONCE, || refused(wovenet_tests::mesh::loopback(outside_port)));
    expect_within(Duration::from_secs(2), || refused(home.local("nowhere/app")));
    // What is not for this site to know is in the log of the other alone, a line for each app and cause.
    let log = office.agent.log().replace('"', "");
    let audit: Vec<&str> = log.lines().filter(|line| line.contains("stream refused")).collect();
    for (app, cause) in [("absent", "unknown_app"), ("private", "site_not_allowed"), ("range", "target_")] {
        let of_app: Vec<_> = audit.iter().filter(|line| line.contains(&format!("app={app}"))).collect();
        assert!(
            !of_app.is_empty() && of_app.iter().all(|line| line.contains("site=home") && line.contains(cause)),
            "{audit:#?}"
        );
    }
}

#[test]
fn b6_fault_72_a_half_close_is_carried_each_way() {
    static ANSWER: [u8; 10 << 20] = [42; 10 << 20];
    let mesh = Mesh::start().unwrap();
    let (port, served) = apps::accepted();
    let office = mesh.site("office").unwrap().listening().unwrap().exposes("app", port);
    let _office = mesh.run(office.exposes("answers", apps::answers(&ANSWER))).unwrap();
    let home = mesh.site("home").unwrap().uses("office", "app").unwrap().uses("office", "answers").unwrap();
    let home = mesh.run(home).unwrap();
    home.ready().unwrap();
    assert!(ask(home.local("office/answers"), b"GET").unwrap() == ANSWER);

    let mut client = connect(home.local("office/app"));
    let mut app = served.recv_timeout(PATIENCE).unwrap();
    app.write_all(b"greeting").unwrap();
    app.shutdown(Shutdown::Write).unwrap();
    let mut greeting = String::new();
    client.read_to_string(&mut greeting).unwrap();
    assert_eq!(greeting, "greeting");
    client.write_all(b"and more").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut rest = String::new();
    app.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "and more");
}

/// A mesh whose app hands its connections to the test, with one connection open.
struct Connected {
    _mesh: Mesh,
    office: Site,
    home: Site,
    client: std::net::TcpStream,
    app: std::net::TcpStream,
}

fn one_connection() -> Connected {
    let mesh = Mesh::start().unwrap();
    let (port, served) = apps::accepted();
    let office = mesh.run(mesh.site("office").unwrap().listening().unwrap().exposes("app", port)).unwrap();
    let home = mesh.run(mesh.site("home").unwrap().uses("office", "app").unwrap()).unwrap();
    home.ready().unwrap();
    let mut client = connect(home.local("office/app"));
    let mut app = served.recv_timeout(PATIENCE).unwrap();
    app.set_read_timeout(Some(PATIENCE)).unwrap();
    app.write_all(b"partial").unwrap();
    client.read_exact(&mut [0; 7]).unwrap();
    Connected { _mesh: mesh, office, home, client, app }
}

#[test]
fn b7_fault_73_a_reset_of_either_end_is_a_reset_at_the_other() {
    expect_within(AT_ONCE, || {
        let mut open = one_connection();
        reset(open.client);
        let took = expect_reset(&mut open.app);
        open.home.quiet().unwrap();
        took
    });
    expect_within(AT_ONCE, || {
        let mut open = one_connection();
        reset(open.app);
        let took = expect_reset(&mut open.client);
        open.home.quiet().unwrap();
        took
    });
}

#[test]
fn b7_the_crash_of_the_provider_is_a_reset_and_never_an_end_of_file() {
    let mut open = one_connection();
    open.office.kill().unwrap();
    open.office.start().unwrap();
    let took = expect_reset(&mut open.client);
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn b7_the_crash_of_the_consumer_is_a_reset_for_the_app() {
    let mut open = one_connection();
    open.home.kill().unwrap();
    open.home.start().unwrap();
    let took = expect_reset(&mut open.app);
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn fault_71_an_app_that_comes_back_is_served_without_a_change() {
    let mesh = Mesh::start().unwrap();
    let port = apps::nobody();
    let _office = mesh.run(mesh.site("office").unwrap().listening().unwrap().exposes("app", port)).unwrap();
    let home = mesh.run(mesh.site("home").unwrap().uses("office", "app").unwrap()).unwrap();
    home.ready().unwrap();
    refused(home.local("office/app"));
    let app = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let client = std::thread::spawn(move || exchange(&mut connect(home.local("office/app"))));
    let (mut served, _) = app.accept().unwrap();
    let mut reader = served.try_clone().unwrap();
    std::io::copy(&mut reader, &mut served).ok();
    client.join().unwrap();
}

#[test]
fn b27_fault_84_an_app_and_a_site_that_are_gone_reset_clients_and_come_back_by_themselves() {
    let mesh = Mesh::start().unwrap();
    let office = mesh.site("office").unwrap().listening().unwrap().exposes("echo", apps::echo());
    let mut office = mesh.run(office).unwrap();
    let home = mesh.site("home").unwrap().uses_with("office", "echo", ", connectTimeout: 1s").unwrap();
    let home = mesh.run(home).unwrap();
    home.ready().unwrap();
    echoes(home.local("office/echo"));
    let provider = |state: &'static str| {
        move |status: &serde_json::Value| of_listener(status, "office/echo")["providerState"] == state
    };

    let with_app = office.configuration.clone();
    let mut without_app = with_app.clone();
    without_app.exposed.clear();
    office.configure(without_app).unwrap();
    home.sees("the app is not exposed", provider("notExposed")).unwrap();
    expect_within(AT_ONCE, || refused(home.local("office/echo")));
    office.configure(with_app).unwrap();
    home.sees("the app is exposed again", provider("available")).unwrap();
    assert_eq!(ask(home.local("office/echo"), b"again").unwrap(), b"again");

    office.agent.process().unwrap().terminate(PATIENCE).unwrap();
    home.sees("the site is gone", provider("noPath")).unwrap();
    expect_within(Duration::from_secs(2), || refused(home.local("office/echo")));
    assert_eq!(of_listener(&home.status().unwrap(), "office/echo")["state"], "listening");
    office.start().unwrap();
    echoes(home.local("office/echo"));
}
