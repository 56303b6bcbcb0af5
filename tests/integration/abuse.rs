//! Clients that misbehave, and many of them: nothing stays behind, and others are served as before.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use wovenet_tests::mesh::{MANY_FILES, Mesh, Site};
use wovenet_tests::until::{PATIENCE, until};

use crate::apps;
use crate::clients::{ask, connect, echoes, refused, reset};

/// Longer than it takes to fill all windows.
const WINDOWS_FILL: Duration = Duration::from_secs(3);

/// A site with apps of every kind, and one that uses them.
fn pair(mesh: &Mesh) -> (Site, Site) {
    let office = mesh.site("office").unwrap().listening().unwrap();
    let office = office.exposes("echo", apps::echo()).exposes("torrent", apps::torrent());
    let office = mesh.run(office.exposes("dead", apps::nobody())).unwrap();
    let home = mesh.site("home").unwrap().uses("office", "echo").unwrap();
    let home = home.uses("office", "torrent").unwrap().uses("office", "dead").unwrap();
    let home = mesh.run(home).unwrap();
    home.ready().unwrap();
    (office, home)
}

/// Waits until a site has no more files open than it had.
fn expect_files(site: &mut Site, before: usize) {
    until("as many files as before", PATIENCE, || site.open_files().ok().filter(|now| *now <= before)).unwrap();
}

#[test]
fn b1_aborted_downloads_leave_the_tunnel_as_it_was() {
    let mesh = Mesh::start().unwrap();
    let (office, home) = pair(&mesh);
    for round in 0..30 {
        let mut client = connect(home.local("office/torrent"));
        client.read_exact(&mut [0; 256 * 1024]).unwrap();
        if round % 2 == 0 {
            reset(client);
        }
    }
    for _ in 0..20 {
        assert_eq!(ask(home.local("office/echo"), &[1; 100_000]).unwrap().len(), 100_000);
    }
    home.quiet().unwrap();
    office.quiet().unwrap();
}

#[test]
fn clients_that_read_nothing_hold_back_nobody_else_and_get_all_when_they_read() {
    let mesh = Mesh::start().unwrap();
    let office = mesh.site("office").unwrap().listening().unwrap().exposes("torrent", apps::torrent());
    let _office = mesh.run(office.exposes("echo", apps::echo())).unwrap();
    let home = mesh.site("home").unwrap().uses("office", "torrent").unwrap();
    let mut home = home.uses("office", "echo").unwrap();
    home.extra = "tunnel: {channelsPerSite: 1}\n".to_owned();
    let home = mesh.run(home).unwrap();
    home.connected("office", 1).unwrap();
    let local = home.local("office/torrent");
    let idle: Vec<_> = (0..3).map(|_| connect(local)).collect();
    let begun = Instant::now();
    while begun.elapsed() < WINDOWS_FILL {
        let asked = Instant::now();
        assert_eq!(ask(home.local("office/echo"), &[1; 100_000]).unwrap().len(), 100_000);
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    }
    for mut client in idle {
        client.read_exact(&mut vec![0; 32 * 1024 * 1024]).unwrap();
    }
    assert_eq!(home.metric("wovenet_agent_tunnel_channels_ended_total", &[]).unwrap(), 0.0);
}

#[test]
fn b2_b26_three_hundred_clients_of_a_dead_app_are_reset_and_no_file_stays_open() {
    let mesh = Mesh::start().unwrap();
    let (mut office, mut home) = pair(&mesh);
    echoes(home.local("office/echo"));
    home.quiet().unwrap();
    office.quiet().unwrap();
    let before = (office.open_files().unwrap(), home.open_files().unwrap());
    for _ in 0..300 {
        refused(home.local("office/dead"));
    }
    assert_eq!(ask(home.local("office/echo"), b"alive").unwrap(), b"alive");
    home.quiet().unwrap();
    expect_files(&mut office, before.0 + 1);
    expect_files(&mut home, before.1 + 1);
    assert_eq!(home.metric("wovenet_agent_streams_total", &["result=\"failed\""]).unwrap(), 300.0);
}

#[test]
fn b3_probes_that_connect_and_close_and_short_requests_are_harmless() {
    let mesh = Mesh::start().unwrap();
    let (mut office, mut home) = pair(&mesh);
    echoes(home.local("office/echo"));
    let before = (office.open_files().unwrap(), home.open_files().unwrap());
    for _ in 0..300 {
        drop(connect(home.local("office/echo")));
        assert_eq!(ask(home.local("office/echo"), b"short").unwrap(), b"short");
    }
    home.quiet().unwrap();
    office.quiet().unwrap();
    expect_files(&mut office, before.0 + 1);
    expect_files(&mut home, before.1 + 1);
}

#[test]
fn b4_ten_thousand_connections_are_open_at_once_on_one_tunnel() {
    const CONNECTIONS: usize = 10_000;
    raise_own_file_limit();
    let mesh = Mesh::start().unwrap();
    let (_app, port) = apps::echoes_in_a_process(&mesh);
    let office = mesh.site("office").unwrap().listening().unwrap().exposes("app", port);
    let mut office = mesh.prepare(office).unwrap();
    office.start_with_many_files().unwrap();
    let mut home = mesh.prepare(mesh.site("home").unwrap().uses("office", "app").unwrap()).unwrap();
    home.start_with_many_files().unwrap();
    home.ready().unwrap();
    let mut open: Vec<TcpStream> = Vec::new();
    for number in 0..CONNECTIONS as u64 {
        let mut client = connect(home.local("office/app"));
        exchange(&mut client, number);
        open.push(client);
    }
    let streams = home.status().unwrap()["traffic"][0]["streams"].clone();
    assert_eq!(streams, CONNECTIONS);
    for (number, client) in (0..).zip(&mut open) {
        exchange(client, number);
    }
    assert_eq!(home.connected("office", 2).unwrap()["channels"].as_array().unwrap().len(), 2);
    drop(open);
    home.quiet().unwrap();
    office.quiet().unwrap();
}

/// Sends a number and gets it back.
fn exchange(client: &mut TcpStream, number: u64) {
    client.write_all(&number.to_be_bytes()).unwrap();
    let mut answer = [0; 8];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(answer, number.to_be_bytes());
}

#[test]
fn b19_streams_are_spread_over_the_channels_of_a_tunnel() {
    let mesh = Mesh::start().unwrap();
    let (_office, home) = pair(&mesh);
    home.connected("office", 2).unwrap();
    let mut clients: Vec<TcpStream> = (0..10).map(|_| connect(home.local("office/echo"))).collect();
    clients.iter_mut().for_each(crate::clients::exchange);
    let site = home.connected("office", 2).unwrap();
    let streams = |index: usize| site["channels"][index]["streams"].as_u64().unwrap();
    assert_eq!((streams(0), streams(1)), (5, 5));
}

/// The clients are files of this process.
fn raise_own_file_limit() {
    let id = std::process::id().to_string();
    let limit = format!("--nofile={MANY_FILES}:");
    let raised = std::process::Command::new("prlimit").args(["--pid", &id, &limit]).status().unwrap();
    assert!(raised.success(), "the limit of open files is below {MANY_FILES}");
}
