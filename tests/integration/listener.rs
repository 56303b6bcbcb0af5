//! Local sockets of remote apps: what is in their way, and what stays when it is gone.

use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};

use wovenet_tests::http;
use wovenet_tests::mesh::{Mesh, Site, loopback, of_listener};
use wovenet_tests::until::{PATIENCE, until};

use crate::apps;
use crate::clients::{ask, echoes};

fn office(mesh: &Mesh) -> Site {
    mesh.run(mesh.site("office").unwrap().listening().unwrap().exposes("echo", apps::echo())).unwrap()
}

fn state<'a>(app: &'a str, wanted: &'a str) -> impl Fn(&serde_json::Value) -> bool + 'a {
    move |status| of_listener(status, app)["state"] == wanted
}

#[test]
fn fault_80_a_taken_port_stops_nothing_else_and_is_bound_soon_after_it_is_free() {
    let mesh = Mesh::start().unwrap();
    let _office = office(&mesh);
    let mut home = mesh.site("home").unwrap().uses("office", "echo").unwrap();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap();
    home.remote.push(format!(r#"{{siteName: office, appName: other, localSocket: "tcp:{taken}"}}"#));
    let home = mesh.run(home).unwrap();
    home.ready().unwrap();
    let status = home.sees("the conflict is told", state("office/other", "failed")).unwrap();
    let error = of_listener(&status, "office/other")["error"].as_str().unwrap().to_owned();
    assert!(error.contains("in use"), "{error}");
    echoes(home.local("office/echo"));
    drop(holder);
    let bound = || home.status().ok().filter(|status| of_listener(status, "office/other")["state"] == "listening");
    let (_, took) = until("the port is bound", PATIENCE, bound).unwrap();
    assert!(took.as_secs_f64() < 5.5, "{took:?}");
}

#[test]
fn b16_fault_81_a_regular_file_and_a_symlink_are_kept_and_a_stale_socket_is_replaced() {
    let mesh = Mesh::start().unwrap();
    let _office = office(&mesh);
    let at = |name: &str| mesh.directory().join(name);
    std::fs::write(at("precious"), "data").unwrap();
    std::os::unix::fs::symlink(at("precious"), at("link")).unwrap();
    drop(UnixListener::bind(at("stale")).unwrap());
    let live = UnixListener::bind(at("live")).unwrap();
    let mut home = mesh.site("home").unwrap();
    for (number, name) in ["precious", "link", "stale", "live"].iter().enumerate() {
        let path = at(name).display().to_string();
        home.remote.push(format!(r#"{{siteName: office, appName: echo{number}, localSocket: "unix:{path}"}}"#));
    }
    home.remote[2] = home.remote[2].replace("echo2", "echo");
    let home = mesh.run(home).unwrap();
    home.ready().unwrap();
    for app in ["office/echo0", "office/echo1", "office/echo3"] {
        home.sees("what is no stale socket is refused", state(app, "failed")).unwrap();
    }
    assert_eq!(std::fs::read_to_string(at("precious")).unwrap(), "data");
    assert!(at("link").is_symlink());
    UnixStream::connect(at("live")).unwrap();
    live.accept().unwrap();
    let mut client = UnixStream::connect(at("stale")).unwrap();
    std::io::Write::write_all(&mut client, b"hi").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut client, &mut answer).unwrap();
    assert_eq!(answer, "hi");
}

#[test]
fn b14_a_unix_socket_whose_directory_cannot_be_made_is_a_state_and_survives_a_broken_tunnel() {
    let mesh = Mesh::start().unwrap();
    let mut office = office(&mesh);
    std::fs::write(mesh.directory().join("file"), "").unwrap();
    let path = mesh.directory().join("file/below.sock").display().to_string();
    let mut home = mesh.site("home").unwrap().uses("office", "echo").unwrap();
    home.remote.push(format!(r#"{{siteName: office, appName: other, localSocket: "unix:{path}"}}"#));
    let mut home = mesh.run(home).unwrap();
    home.ready().unwrap();
    home.sees("the failure is told", state("office/other", "failed")).unwrap();
    office.kill().unwrap();
    office.start().unwrap();
    echoes(home.local("office/echo"));
    assert!(home.agent.process().unwrap().is_running());
    assert_eq!(home.metric("wovenet_agent_panics_total", &[]).unwrap(), 0.0);
}

#[test]
fn b15_an_api_whose_port_is_taken_comes_up_later_and_tunnels_never_care() {
    let mesh = Mesh::start().unwrap();
    let _office = office(&mesh);
    let home = mesh.site("home").unwrap().uses("office", "echo").unwrap();
    let holder = TcpListener::bind(("127.0.0.1", home.api)).unwrap();
    let mut home = mesh.run(home).unwrap();
    home.ready().unwrap();
    echoes(home.local("office/echo"));
    let told = || home.agent.log().contains("the API does not run; tunnels go on").then_some(());
    until("the failure is told", PATIENCE, told).unwrap();
    drop(holder);
    let api = loopback(home.configuration.api);
    until("the API comes up", PATIENCE, || http::get(api, "/ping").ok().filter(|body| body == "pong")).unwrap();
    assert_eq!(ask(home.local("office/echo"), b"still").unwrap(), b"still");
    assert!(home.agent.process().unwrap().is_running());
}

#[test]
fn b24_an_api_without_credentials_answers_on_loopback_only_and_refuses_other_addresses() {
    let mesh = Mesh::start().unwrap();
    let mut site = mesh.site("site").unwrap();
    let open = mesh.run(site.clone()).unwrap();
    open.ready().unwrap();
    assert_eq!(open.api("GET", "/status", "").unwrap().status, 200);
    // Another address of the same host, where a wildcard would answer.
    let other = std::net::SocketAddr::from(([127, 0, 0, 2], site.api));
    assert!(std::net::TcpStream::connect(other).is_err());
    let text = site.render().replace(&format!("127.0.0.1:{}", site.api), &format!("0.0.0.0:{}", site.api));
    site.name = "open".into();
    let wide = mesh.prepare(site).unwrap();
    wide.agent.configure(&text).unwrap();
    let output = wide.agent.command("run").unwrap().output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("would let anyone use the API") && message.contains("restfulApi.auth"), "{message}");
}
