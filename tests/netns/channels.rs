//! One of several channels fails.

use std::time::{Duration, Instant};

use wovenet_tests::log::{self, Line};
use wovenet_tests::until::{PATIENCE, until};

use crate::pair::{GONE, Pair, UP};
use crate::service::{LONGEST_WAIT, Service, follow};
use crate::{measured, now_ms};

/// A channel that no longer answers is dead after this long.
const DEAD_WITHIN: Duration = Duration::from_secs(15);
/// A channel that is not heard any more is replaced from another port this long after.
const OTHER_PORT_WITHIN: Duration = Duration::from_secs(3);
/// How many connections are held; they spread over two channels.
const HELD: usize = 8;

#[test]
fn fault_45_of_two_channels_one_is_cut_and_only_its_streams_fail() {
    let pair = Pair::over_ipv4().unwrap();
    pair.office.wait_channels(2).unwrap();
    let cut = log::lines(&pair.office.agent, 0, UP)[0].field("remote_addr");
    let port = cut.rsplit(':').next().unwrap();
    let cut = format!("input udp sport {port} drop\noutput udp dport {port} drop");
    let (service, _) = one_of_two_fails(&pair, "45 one flow cut", &cut);
    assert_eq!(service.failures, 0, "a stream without an answer is opened again on the other channel: {service:?}");
    // The flow is still cut: another one takes its place.
    pair.home.wait_channels(2).unwrap();
}

#[test]
fn fault_45_while_the_ways_of_all_ports_that_were_dialled_from_are_lost_another_port_is_used() {
    let pair = Pair::over_ipv4().unwrap();
    pair.office.wait_channels(2).unwrap();
    let cut = |line: &Line| {
        let address = line.field("remote_addr");
        let port = address.rsplit(':').next().unwrap();
        format!("input udp sport {port} drop\noutput udp dport {port} drop\n")
    };
    let faults: String = log::lines(&pair.office.agent, 0, UP).iter().map(cut).collect();
    let from = log::length(&pair.home.agent);
    pair.office.host.namespace().fault(&faults).unwrap();
    let health = |line: &Line| line.field("health") == "Suspect";
    let (_, suspect) = log::wait_for(&pair.home.agent, from, "channel health changed", health).unwrap();
    let (_, up) = log::wait_for(&pair.home.agent, from, UP, |_| true).unwrap();
    measured("45 all flows cut: another one after suspicion", up);
    assert!(up <= OTHER_PORT_WITHIN, "{suspect:?} {up:?}");
    pair.home.wait_working().unwrap();
}

#[test]
fn fault_46_a_channel_is_black_holed_one_way() {
    let pair = Pair::over_both().unwrap();
    let cut = "output meta nfproto ipv6 meta l4proto udp drop";
    // What the far side serves while its answer is lost cannot be opened again: the app has heard the client.
    let (_, later) = one_of_two_fails(&pair, "46 IPv6 black-holed one way", cut);
    assert_eq!(later.failures, 0, "no new streams on a suspect channel: {later:?}");
}

/// Returns how new connections fared from the fault on, and from the suspicion on.
fn one_of_two_fails(pair: &Pair, what: &str, fault: &str) -> (Service, Service) {
    let held = pair.home.hold(HELD).unwrap();
    let clients = pair.home.connect_loop(50).unwrap();
    clients.wait_for("tried").unwrap();
    let from = log::length(&pair.home.agent);
    let (start, began) = (Instant::now(), now_ms());
    pair.office.host.namespace().fault(fault).unwrap();
    let (_, suspect) =
        log::wait_for(&pair.home.agent, from, "channel health changed", |line| line.field("health") == "Suspect")
            .unwrap();
    let suspect_at = now_ms();
    log::wait_for(&pair.home.agent, from, GONE, |_| true).unwrap();
    let ended = held.wait_until("streams of the cut channel fail", |events| {
        let ended: Vec<_> = events.iter().filter(|event| event.kind() == "ended").cloned().collect();
        (!ended.is_empty()).then_some(ended)
    });
    let (dead, first) = (start.elapsed(), ended.unwrap());
    let all_ended = || held.of_kind("ended");
    until("its last stream has failed", PATIENCE, || {
        (start.elapsed() > DEAD_WITHIN + Duration::from_secs(1)).then_some(())
    })
    .unwrap();
    let ended = all_ended();
    let service = follow(&clients, began, Duration::from_secs(1)).unwrap();
    let later = follow(&clients, suspect_at, Duration::from_secs(1)).unwrap();
    measured(&format!("{what}: suspect after"), suspect);
    measured(&format!("{what}: its streams are reset after"), dead);
    measured(&format!("{what}: streams reset, of {HELD}"), ended.len());
    measured(&format!("{what}: new connections"), &service);
    assert!(dead <= DEAD_WITHIN, "{dead:?} {first:?}");
    assert!(ended.iter().all(|event| event.outcome() == "reset"), "{ended:?}");
    assert!((1..HELD).contains(&ended.len()), "{ended:?}");
    assert!(service.longest <= LONGEST_WAIT, "{service:?}");
    (service, later)
}
