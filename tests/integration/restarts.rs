//! Restarts, absent brokers and unreachable sites: everything comes back by itself, and soon.

use std::time::{Duration, Instant};

use wovenet_tests::mesh::{Mesh, SiteConfiguration, of_site};
use wovenet_tests::until::{PATIENCE, until};

use crate::apps;
use crate::clients::{ask, connect, echoes, exchange, expect_within};

/// Within this a restarted agent serves again; upstream needs 5 to 28 s.
const SOON: Duration = Duration::from_secs(3);

/// The private site exposes and only dials; the public one listens and serves users.
#[test]
fn b8_a_restarted_exposer_behind_nat_serves_at_once_and_its_old_channels_take_no_client() {
    let mesh = Mesh::start().unwrap();
    let public = mesh.site("public").unwrap().listening().unwrap().uses("private", "echo").unwrap();
    let public = mesh.run(public).unwrap();
    let mut private = mesh.run(mesh.site("private").unwrap().exposes("echo", apps::echo())).unwrap();
    public.ready().unwrap();
    let address = public.local("private/echo");
    echoes(address);
    for killed in [true, false] {
        expect_within(SOON, || {
            if killed {
                private.kill().unwrap();
            } else {
                private.agent.process().unwrap().terminate(PATIENCE).unwrap();
            }
            private.start().unwrap();
            echoes(address)
        });
        // Every further client is served: none is sent to what the old process left.
        for _ in 0..50 {
            let begun = Instant::now();
            assert_eq!(ask(address, b"x").unwrap(), b"x");
            assert!(begun.elapsed() < SOON);
        }
        public.connected("private", 2).unwrap();
    }
}

#[test]
fn b9_a_first_dial_that_fails_is_repeated_until_the_peer_is_there() {
    let mesh = Mesh::without_broker().unwrap();
    let office = mesh.site("office").unwrap().listening().unwrap().exposes("echo", apps::echo());
    let home = mesh.site("home").unwrap().uses_with("office", "echo", ", connectTimeout: 30s").unwrap();
    // A site without broker must list its peers, each the other.
    let placeholder = "wvp1_aeaqcaibaeaqcaibaeaqcaibaeaqcaibaeaqcaibaeaqcaibaeawemm7zq";
    let key_of_office = mesh.prepare(office.clone().knows("home", placeholder, 9)).unwrap().public_key().unwrap();
    let home = home.knows("office", &key_of_office, office.tunnel.unwrap());
    let home = mesh.run(home).unwrap();
    home.sees("the first dial failed", |status| of_site(status, "office")["error"].is_string()).unwrap();
    let key_of_home = home.public_key_of_running().unwrap();
    let _office = mesh.run(office.knows("home", &key_of_home, 9)).unwrap();
    home.connected("office", 2).unwrap();
    echoes(home.local("office/echo"));
}

#[test]
fn b12_a_site_that_starts_while_the_broker_is_away_is_found_when_it_is_back() {
    let mut mesh = Mesh::start().unwrap();
    let office = mesh.site("office").unwrap().listening().unwrap().exposes("echo", apps::echo());
    let office = mesh.run(office).unwrap();
    office.ready().unwrap();
    for round in 0..3 {
        mesh.kill_broker().unwrap();
        let name = format!("home{round}");
        let home = mesh.run(mesh.site(&name).unwrap().uses("office", "echo").unwrap()).unwrap();
        until("the agent runs", PATIENCE, || home.status().ok()).unwrap();
        mesh.restart_broker().unwrap();
        home.connected("office", 2).unwrap();
        echoes(home.local("office/echo"));
    }
}

#[test]
fn b13_without_a_broker_tunnels_stay_and_restarted_sites_meet_at_the_addresses_that_they_knew() {
    let mut mesh = Mesh::start().unwrap();
    let office = mesh.site("office").unwrap().listening().unwrap().exposes("echo", apps::echo());
    let mut office = mesh.run(office).unwrap();
    let mut home = mesh.run(mesh.site("home").unwrap().uses("office", "echo").unwrap()).unwrap();
    home.ready().unwrap();
    let address = home.local("office/echo");
    let mut running = connect(address);
    exchange(&mut running);
    mesh.kill_broker().unwrap();
    home.sees("the broker is away", |status| status["brokers"][0]["connected"] == false).unwrap();
    exchange(&mut running);
    echoes(address);
    let remembered = || std::fs::read(home.agent.directory().join(".wovenet/state/peers.json")).ok().map(drop);
    until("peers are saved", PATIENCE, remembered).unwrap();
    office.kill().unwrap();
    home.kill().unwrap();
    home.start().unwrap();
    office.start().unwrap();
    let took = echoes(address);
    assert!(took < Duration::from_secs(10), "{took:?}");
}

/// What an agent of Kubernetes has in a pod that was made anew: the site key and the known peers, mounted, and no state.
#[test]
fn an_agent_without_state_reaches_the_peers_that_it_was_given_and_a_bad_file_is_told_and_costs_nothing_else() {
    let mut mesh = Mesh::start().unwrap();
    let office = mesh.site("office").unwrap().listening().unwrap().exposes("echo", apps::echo());
    let office = mesh.run(office).unwrap();
    let mut home = mesh.run(mesh.site("home").unwrap().uses("office", "echo").unwrap()).unwrap();
    home.ready().unwrap();
    let address = home.local("office/echo");
    echoes(address);
    let state = home.agent.directory().join(".wovenet/state");
    let given = home.agent.directory().join("given.json");
    until("peers are saved", PATIENCE, || std::fs::copy(state.join("peers.json"), &given).ok()).unwrap();
    let peers = std::fs::read(&given).unwrap();
    let key = home.agent.directory().join("mounted.key");
    std::fs::copy(state.join("site.key"), key).unwrap();
    mesh.kill_broker().unwrap();
    home.kill().unwrap();
    let extra = "siteKeyFile: mounted.key\npeersFile: given.json\n".to_owned();
    home.configure(SiteConfiguration { extra, ..home.configuration.clone() }).unwrap();
    for content in [&b"{\"version\":1,\"statements\":["[..], &peers] {
        std::fs::remove_dir_all(&state).unwrap();
        std::fs::write(&given, content).unwrap();
        std::fs::remove_file(home.agent.directory().join("agent.log")).unwrap();
        home.start().unwrap();
        home.sees("the agent runs", |status| status["siteName"] == "home").unwrap();
        let told = home.agent.log().contains("cannot read the file of known peers, going on without it");
        let known = !of_site(&home.status().unwrap(), "office").is_null();
        assert_eq!((told, known), (content != peers, content == peers));
        if known {
            echoes(address);
            office.connected("home", 2).unwrap();
        }
        home.kill().unwrap();
    }
}

#[test]
fn b17_a_joint_start_builds_the_tunnel_once() {
    let mesh = Mesh::start().unwrap();
    let first = mesh.site("first").unwrap().listening().unwrap().uses("second", "echo").unwrap();
    let second = mesh.site("second").unwrap().listening().unwrap().exposes("echo", apps::echo());
    let (mut first, mut second) = (mesh.prepare(first).unwrap(), mesh.prepare(second).unwrap());
    first.start().unwrap();
    second.start().unwrap();
    first.agrees_with(&second, 2).unwrap();
    for _ in 0..20 {
        assert_eq!(ask(first.local("second/echo"), b"x").unwrap(), b"x");
    }
    first.agrees_with(&second, 2).unwrap();
    // Both sides dial each slot once at most; of two dials of one slot both keep the same.
    for site in [&first, &second] {
        let up = site.agent.log().matches("data channel is up").count();
        assert!(up <= 4, "{up} channels came up for two slots");
    }
}

#[test]
fn b18_a_restarted_consumer_that_listens_is_served_at_once() {
    let mesh = Mesh::start().unwrap();
    let home = mesh.site("home").unwrap().listening().unwrap().uses("office", "echo").unwrap();
    let mut home = mesh.run(home).unwrap();
    let _office = mesh.run(mesh.site("office").unwrap().exposes("echo", apps::echo())).unwrap();
    home.ready().unwrap();
    echoes(home.local("office/echo"));
    for killed in [true, false] {
        expect_within(SOON, || {
            if killed {
                home.kill().unwrap();
            } else {
                home.agent.process().unwrap().terminate(PATIENCE).unwrap();
            }
            home.start().unwrap();
            echoes(home.local("office/echo"))
        });
    }
}

#[test]
fn fault_47_of_sites_that_dial_each_other_at_once_no_stream_is_lost_in_a_channel_that_gives_way() {
    for _ in 0..3 {
        let mesh = Mesh::start().unwrap();
        let first = mesh.site("first").unwrap().listening().unwrap().uses("second", "echo").unwrap();
        let second = mesh.site("second").unwrap().listening().unwrap().exposes("echo", apps::echo());
        let (mut first, mut second) = (mesh.prepare(first).unwrap(), mesh.prepare(second).unwrap());
        first.start().unwrap();
        second.start().unwrap();
        first.ready().unwrap();
        let address = first.local("second/echo");
        let mut kept: Vec<_> = (0..50).map(|_| connect(address)).collect();
        for _ in 0..20 {
            kept.iter_mut().for_each(exchange);
        }
    }
}

#[test]
fn fault_60_a_pause_that_makes_channels_suspect_costs_no_stream() {
    let mesh = Mesh::start().unwrap();
    let office = mesh.site("office").unwrap().listening().unwrap().exposes("echo", apps::echo());
    let mut office = mesh.run(office).unwrap();
    let home = mesh.run(mesh.site("home").unwrap().uses("office", "echo").unwrap()).unwrap();
    home.connected("office", 2).unwrap();
    let mut streams: Vec<_> = (0..10).map(|_| connect(home.local("office/echo"))).collect();
    streams.iter_mut().for_each(exchange);
    office.agent.process().unwrap().signal("STOP").unwrap();
    let suspect = |status: &serde_json::Value| {
        let office = of_site(status, "office");
        office["channels"].as_array().is_some_and(|all| all.iter().all(|channel| channel["state"] == "suspect"))
    };
    home.sees("both channels are suspect", suspect).unwrap();
    office.agent.process().unwrap().signal("CONT").unwrap();
    streams.iter_mut().for_each(exchange);
    let good = |status: &serde_json::Value| {
        let channels = of_site(status, "office")["channels"].as_array().cloned().unwrap_or_default();
        channels.len() >= 2 && channels.iter().all(|channel| channel["state"] == "good")
    };
    home.sees("the channels are good", good).unwrap();
    streams.iter_mut().for_each(exchange);
    echoes(home.local("office/echo"));
}
