//! IPv4, IPv6 and both; a tunnel port that is taken.

use std::time::{Duration, Instant};

use wovenet_tests::log;
use wovenet_tests::netns::Event;

use crate::measured;
use crate::pair::{Pair, UP, listening_at};

/// What a broken family may cost.
const BROKEN_FAMILY_COST: Duration = Duration::from_millis(300);
/// Starts that are timed; the fastest counts, as the machine may be busy in any of them.
const STARTS: usize = 5;

#[test]
fn fault_58_sites_meet_over_ipv6_alone() {
    let start = Instant::now();
    let pair = Pair::start(&["2001:db8::1"], &["2001:db8::2"]).unwrap();
    measured("58 IPv6 alone: service in both directions, with the start of everything, after", start.elapsed());
    assert!(
        log::lines(&pair.home.agent, 0, UP).iter().all(|line| line.field("remote_addr").starts_with("[2001:db8::1]"))
    );
}

#[test]
fn fault_58_a_broken_ipv6_costs_little() {
    let mut pair = Pair::start(&["203.0.113.1", "2001:db8::1"], &["203.0.113.2", "2001:db8::2"]).unwrap();
    let healthy = fastest_start(&mut pair);
    pair.office.host.namespace().fault("input meta nfproto ipv6 meta l4proto udp drop").unwrap();
    let broken = fastest_start(&mut pair);
    measured("58 both families: first service after a start, all well and with IPv6 broken", (healthy, broken));
    assert!(broken <= healthy + BROKEN_FAMILY_COST, "{healthy:?} {broken:?}");
    let ipv4 = |line: &log::Line| line.field("remote_addr").starts_with("203.0.113.1:");
    assert!(log::lines(&pair.home.agent, 0, UP).last().is_some_and(ipv4));
}

fn fastest_start(pair: &mut Pair) -> Duration {
    let starts = (0..STARTS).map(|_| {
        pair.home.agent.process().unwrap().kill().unwrap();
        let start = Instant::now();
        pair.home.start().unwrap();
        pair.home.wait_working().unwrap();
        start.elapsed()
    });
    starts.min().unwrap()
}

#[test]
fn fault_63_a_tunnel_port_that_is_taken_is_told_and_used_once_it_is_free() {
    let tunnel = format!(
        "tunnel:\n  localSockets:\n{}{}",
        listening_at("203.0.113.1", 51820),
        listening_at("203.0.113.1", 51821)
    );
    let mut pair = Pair::prepare(&["203.0.113.1"], &["203.0.113.2"], &tunnel).unwrap();
    let office = &pair.office.host;
    let holder = office.peer(&["hold-udp", "--listen", "203.0.113.1:51820"]).unwrap();
    holder.wait_for("listening").unwrap();
    pair.office.start().unwrap();
    pair.home.start().unwrap();
    let (failed, _) = log::wait_for(&pair.office.agent, 0, "the tunnel socket does not listen yet", |_| true).unwrap();
    assert!(failed.field("error").contains("203.0.113.1:51820"), "{failed:?}");
    // The other socket works meanwhile.
    pair.home.wait_working().unwrap();
    let from = log::length(&pair.home.agent);
    drop(holder);
    let bound = |line: &log::Line| line.field("listen_addr") == "203.0.113.1:51820";
    let (_, took) = log::wait_for(&pair.office.agent, 0, "the tunnel socket listens", bound).unwrap();
    measured("63 port freed: it listens after", took);
    // Only the freed port is left to dial.
    pair.office.host.namespace().fault("input udp dport 51821 drop\noutput udp sport 51821 drop").unwrap();
    let freed = |line: &log::Line| line.field("remote_addr") == "203.0.113.1:51820";
    log::wait_for(&pair.home.agent, from, UP, freed).unwrap();
    let clients = pair.home.connect_loop(100).unwrap();
    let served = |events: &[Event]| events.iter().find(|event| event.outcome() == "ok").map(drop);
    clients.wait_until("a client is served", served).unwrap();
}
