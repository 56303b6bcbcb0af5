//! The broker fails.

use std::time::{Duration, Instant};

use wovenet_tests::log;
use wovenet_tests::until::{PATIENCE, until};

use crate::pair::{GONE, Pair, Site, configuration};
use crate::service::follow;
use crate::{measured, now_ms};

/// Logged with each change of the connection to a broker.
const LOST: &str = "lost the MQTT broker";
const CONNECTED: &str = "connected to the MQTT broker";
/// Two keep-alives and the connect limit.
const SILENCE_NOTICED_WITHIN: Duration = Duration::from_secs(25);
/// Rows 23 and 26.
const CONDITION_WITHIN: Duration = Duration::from_secs(20);
const TUNNEL_WITHOUT_BROKER_WITHIN: Duration = Duration::from_secs(10);
/// The outage of row 24, and the longest wait between two tries that it can lead to: 1, 2 and 4 s have passed then.
const OUTAGE: Duration = Duration::from_secs(4);
const BACKOFF_MAX: Duration = Duration::from_secs(8);

#[test]
fn fault_23_the_broker_is_killed_under_load() {
    let mut pair = Pair::over_ipv4().unwrap();
    let mut pumps = [pair.home.pump(12_000, 5).unwrap(), pair.office.pump(12_000, 5).unwrap()];
    let clients = pair.home.connect_loop(50).unwrap();
    let (from, began) = (log::length(&pair.home.agent), now_ms());
    pair.broker.kill().unwrap();
    let (_, noticed) = log::wait_for(&pair.home.agent, from, LOST, |_| true).unwrap();
    let mut bytes = 0;
    for pump in &mut pumps {
        pump.process().wait(PATIENCE).unwrap();
        let pumped = pump.wait_for("pumped").unwrap();
        assert_eq!(pumped.outcome(), "ok", "{pumped:?}");
        bytes += pumped.number("bytes");
    }
    let service = follow(&clients, began, Duration::from_secs(1)).unwrap();
    measured("23 broker killed: noticed after", noticed);
    measured("23 broker killed: bytes moved meanwhile, none lost", bytes);
    measured("23 broker killed: new connections", &service);
    assert!(noticed <= CONDITION_WITHIN, "{noticed:?}");
    assert_eq!(service.failures, 0, "{service:?}");
    assert_no_channel_lost(&[&pair.home, &pair.office]);
}

#[test]
fn fault_24_a_restarted_broker_has_lost_what_it_retained() {
    let mut pair = Pair::over_ipv4().unwrap();
    let from = log::length(&pair.office.agent);
    pair.broker.kill().unwrap();
    let killed = Instant::now();
    until("the outage is over", PATIENCE, || (killed.elapsed() > OUTAGE).then_some(())).unwrap();
    pair.broker = pair.lab.start_broker(&pair.broker_host).unwrap();
    let (_, connected) = log::wait_for(&pair.office.agent, from, CONNECTED, |_| true).unwrap();
    // A site that was never seen before learns of the office only through what is published anew.
    let key = key_of(&pair);
    let newcomer = pair.lab.public_host("newcomer", &["203.0.113.3"]).unwrap();
    let agent = newcomer.agent(&configuration("newcomer", "office", &key, "192.0.2.1", "")).unwrap();
    let echo = newcomer.serve("echo", crate::pair::ECHO, &[]).unwrap();
    let mut newcomer = Site { agent, echo, host: newcomer };
    newcomer.start().unwrap();
    let start = Instant::now();
    newcomer.wait_working().unwrap();
    measured("24 broker restarted: the office is connected after", connected);
    measured("24 broker restarted: then a new site reaches the office after", start.elapsed());
    assert!(connected <= Duration::from_secs(5) + BACKOFF_MAX, "{connected:?}");
    assert!(start.elapsed() <= Duration::from_secs(5), "{:?}", start.elapsed());
    assert_no_channel_lost(&[&pair.home]);
}

#[test]
fn fault_25_a_site_that_cannot_reach_the_broker_redials_from_what_it_knew() {
    let mut pair = Pair::over_ipv4().unwrap();
    let clients = pair.home.connect_loop(50).unwrap();
    wait_saved(&pair);
    let began = now_ms();
    pair.home.host.namespace().fault("output ip daddr 192.0.2.1 drop").unwrap();
    let service = follow(&clients, began, Duration::from_secs(3)).unwrap();
    assert_eq!(service.failures, 0, "{service:?}");
    drop(clients);
    let start = Instant::now();
    pair.home.agent.process().unwrap().kill().unwrap();
    pair.home.start().unwrap();
    pair.home.wait_working().unwrap();
    measured("25 broker unreachable for the dialling site: service after its restart", start.elapsed());
    assert!(start.elapsed() <= TUNNEL_WITHOUT_BROKER_WITHIN);
}

#[test]
fn fault_26_both_agents_restart_while_the_broker_is_down() {
    let mut pair = Pair::over_ipv4().unwrap();
    wait_saved(&pair);
    pair.broker.kill().unwrap();
    for site in [&mut pair.office, &mut pair.home] {
        site.agent.process().unwrap().kill().unwrap();
    }
    let start = Instant::now();
    pair.home.start().unwrap();
    pair.office.start().unwrap();
    pair.home.wait_working().unwrap();
    pair.office.wait_working().unwrap();
    measured("26 both restarted without a broker: service after", start.elapsed());
    assert!(start.elapsed() <= TUNNEL_WITHOUT_BROKER_WITHIN);
}

#[test]
fn fault_35_a_broker_that_falls_silent_is_noticed() {
    let pair = Pair::over_ipv4().unwrap();
    let from = log::length(&pair.home.agent);
    let start = Instant::now();
    pair.broker_host.namespace().fault("input tcp dport 1883 drop\noutput tcp sport 1883 drop").unwrap();
    log::wait_for(&pair.home.agent, from, LOST, |_| true).unwrap();
    measured("35 broker black-holed: noticed after", start.elapsed());
    assert!(start.elapsed() <= SILENCE_NOTICED_WITHIN);
    assert_no_channel_lost(&[&pair.home, &pair.office]);
}

fn assert_no_channel_lost(sites: &[&Site]) {
    for site in sites {
        assert!(log::lines(&site.agent, 0, GONE).is_empty(), "{}:\n{}", site.agent.name(), site.agent.log());
    }
}

fn key_of(pair: &Pair) -> String {
    let text = std::fs::read_to_string(pair.office.agent.configuration()).unwrap();
    let key = text.lines().find_map(|line| line.strip_prefix("crypto: {key: ")?.strip_suffix('}'));
    key.unwrap().to_owned()
}

/// Waits until the dialling site has written down where the office is.
fn wait_saved(pair: &Pair) {
    let file = pair.home.host.directory().join("home/.wovenet/state/peers.json");
    let saved = || file.metadata().ok().filter(|file| file.len() > 0).map(drop);
    until("what is known of the office is saved", PATIENCE, saved).unwrap();
}
