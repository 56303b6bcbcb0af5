//! The end of an agent: streams are drained, a second signal aborts, and the exit code tells which.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use wovenet_tests::mesh::Mesh;
use wovenet_tests::until::{PATIENCE, until};

use crate::apps;
use crate::clients::{connect, echoes, exchange, expect_reset};

fn start(mesh: &Mesh) -> [wovenet_tests::mesh::Site; 2] {
    let office = mesh.site("office").unwrap().listening().unwrap().exposes("echo", apps::echo());
    let office = mesh.run(office).unwrap();
    let home = mesh.run(mesh.site("home").unwrap().uses("office", "echo").unwrap()).unwrap();
    home.ready().unwrap();
    [home, office]
}

#[test]
fn sigterm_lets_a_running_stream_end_takes_no_new_one_and_exits_with_0() {
    for consumer in [true, false] {
        let mesh = Mesh::start().unwrap();
        let [mut home, mut office] = start(&mesh);
        let mut client = connect(home.local("office/echo"));
        exchange(&mut client);
        let stopped = if consumer { &mut home } else { &mut office };
        stopped.agent.process().unwrap().signal("TERM").unwrap();
        let draining = || stopped.agent.log().contains("the agent stops").then_some(());
        until("it drains", PATIENCE, draining).unwrap();
        for _ in 0..20 {
            exchange(&mut client);
        }
        if consumer {
            let address = home.local("office/echo");
            until("no new client is taken", PATIENCE, || TcpStream::connect(address).is_err().then_some(())).unwrap();
        }
        client.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(client.read(&mut [0; 1]).unwrap(), 0, "an end of file for an end of file");
        let begun = Instant::now();
        let stopped = if consumer { &mut home } else { &mut office };
        let status = stopped.agent.process().unwrap().wait(PATIENCE).unwrap();
        assert_eq!(status.code(), Some(0));
        assert!(begun.elapsed() < Duration::from_secs(10), "it does not wait for its grace when nothing is left");
    }
}

#[test]
fn a_second_signal_aborts_resets_the_stream_and_exits_with_1() {
    for signals in [["TERM", "TERM"], ["INT", "TERM"]] {
        let mesh = Mesh::start().unwrap();
        let [mut home, _office] = start(&mesh);
        let mut client = connect(home.local("office/echo"));
        exchange(&mut client);
        home.agent.process().unwrap().signal(signals[0]).unwrap();
        until("it drains", PATIENCE, || home.agent.log().contains("the agent stops").then_some(())).unwrap();
        exchange(&mut client);
        home.agent.process().unwrap().signal(signals[1]).unwrap();
        expect_reset(&mut client);
        let status = home.agent.process().unwrap().wait(Duration::from_secs(10)).unwrap();
        assert_eq!(status.code(), Some(1));
        assert!(home.agent.log().contains("stopped by a second signal"));
    }
}

#[test]
fn an_idle_agent_stops_at_once_and_tells_its_peers() {
    let mesh = Mesh::start().unwrap();
    let [home, mut office] = start(&mesh);
    echoes(home.local("office/echo"));
    let begun = Instant::now();
    let status = office.agent.process().unwrap().terminate(PATIENCE).unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    let gone = |status: &serde_json::Value| {
        wovenet_tests::mesh::of_site(status, "office")["channels"] == serde_json::json!([])
    };
    home.sees("the channels are gone", gone).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(8));
    let error = TcpStream::connect(wovenet_tests::mesh::loopback(office.configuration.health)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}
