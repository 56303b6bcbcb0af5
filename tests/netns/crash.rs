//! Agents that are killed, stopped and started again.

use std::time::{Duration, Instant};

use wovenet_tests::until::{PATIENCE, until};

use crate::pair::{LOCAL, Pair};
use crate::service::{LONGEST_WAIT, follow};
use crate::{measured, now_ms};

/// New connections work this long after a restart.
const BACK_WITHIN: Duration = Duration::from_secs(3);
/// An agent that is back lets its peers know that its old channels are gone.
const KNOWN_WITHIN: Duration = Duration::from_secs(1);
/// A channel whose other end is gone is dead after this long.
const DEAD_WITHIN: Duration = Duration::from_secs(15);
/// How long everything must go well to count as recovered.
const CALM: Duration = Duration::from_secs(1);

#[test]
fn fault_43_a_listening_agent_is_killed_in_a_transfer_and_restarted() {
    kill_and_restart(Victim::Listening);
}

#[test]
fn fault_43_a_dialling_agent_is_killed_in_a_transfer_and_restarted() {
    kill_and_restart(Victim::Dialling);
}

#[test]
fn a_listening_agent_that_is_stopped_and_started_again_costs_no_connection() {
    stop_and_restart(Victim::Listening);
}

#[test]
fn a_dialling_agent_that_is_stopped_and_started_again_costs_no_connection() {
    stop_and_restart(Victim::Dialling);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Listening,
    Dialling,
}

fn kill_and_restart(victim: Victim) {
    let mut pair = Pair::over_ipv4().unwrap();
    let (killed, witness) = pair.victim_and_witness(victim == Victim::Listening);
    let clients = witness.connect_loop(20).unwrap();
    let mut pump = witness.pump(60_000, 0).unwrap();
    clients.wait_for("tried").unwrap();
    let began = now_ms();
    killed.agent.process().unwrap().kill().unwrap();
    killed.start().unwrap();
    let (restart, restarted) = (Instant::now(), now_ms());
    pump.process().wait(PATIENCE).unwrap();
    let known = restart.elapsed();
    let pumped = pump.wait_for("pumped").unwrap();
    assert_eq!(pumped.outcome(), "reset", "the client of the transfer");
    killed.echo.wait_until("the app sees a reset", |e| e.iter().find(|e| e.outcome() == "reset").map(drop)).unwrap();
    let service = follow(&clients, restarted, CALM).unwrap();
    let all = follow(&clients, began, CALM).unwrap();
    measured(&format!("43 {victim:?} killed: the transfer's client is reset, since the restart"), known);
    measured(&format!("43 {victim:?} killed: new connections, since the restart"), &service);
    measured(&format!("43 {victim:?} killed: new connections, since the kill"), &all);
    assert!(known <= KNOWN_WITHIN, "{known:?}");
    assert!(service.back_after <= BACK_WITHIN, "{service:?}");
    assert!(all.longest <= LONGEST_WAIT, "{all:?}");
}

fn stop_and_restart(victim: Victim) {
    let mut pair = Pair::over_ipv4().unwrap();
    let (stopped, witness) = pair.victim_and_witness(victim == Victim::Listening);
    let clients = witness.connect_loop(20).unwrap();
    clients.wait_for("tried").unwrap();
    let (began, start) = (now_ms(), Instant::now());
    let status = stopped.agent.process().unwrap().terminate(PATIENCE).unwrap();
    measured(&format!("{victim:?} stopped: the process ends after"), start.elapsed());
    stopped.start().unwrap();
    let service = follow(&clients, began, CALM).unwrap();
    measured(&format!("{victim:?} stopped and started: new connections"), &service);
    assert!(status.success(), "{status}");
    assert!(service.back_after <= BACK_WITHIN && service.longest <= LONGEST_WAIT, "{service:?}");
    assert_eq!(service.failures, 0, "{service:?}");
}

#[test]
fn an_agent_that_is_stopped_lets_its_streams_finish() {
    let mut pair = Pair::over_ipv4().unwrap();
    let mut pump = pair.home.pump(4_000, 1).unwrap();
    pair.office.agent.process().unwrap().signal("TERM").unwrap();
    let refused = until("new clients are no longer served", PATIENCE, || {
        let tried = pair.home.host.ask(&["greeting", "--to", LOCAL]).ok()?;
        (tried.outcome() == "reset").then(|| tried.took())
    });
    let (waited, _) = refused.unwrap();
    pump.process().wait(PATIENCE).unwrap();
    let pumped = pump.wait_for("pumped").unwrap();
    let status = pair.office.agent.process().unwrap().wait(PATIENCE).unwrap();
    measured(
        "drain: bytes moved by the stream that went on, and its longest stall in ms",
        (pumped.number("bytes"), pumped.number("stall_ms")),
    );
    assert_eq!(pumped.outcome(), "ok");
    assert!(waited <= LONGEST_WAIT, "{waited:?}");
    assert!(status.success(), "{status}");
}

#[test]
fn fault_44_an_agent_is_killed_and_stays_away() {
    let mut pair = Pair::over_ipv4().unwrap();
    let mut held = pair.home.hold(2).unwrap();
    let clients = pair.home.connect_loop(200).unwrap();
    let (kill, began) = (Instant::now(), now_ms());
    pair.office.agent.process().unwrap().kill().unwrap();
    held.process().wait(PATIENCE).unwrap();
    let dead = kill.elapsed();
    assert!(held.of_kind("ended").iter().all(|event| event.outcome() == "reset"), "{:?}", held.events());
    let gone = now_ms();
    let tries = clients
        .wait_until("clients were reset after that", |events| {
            let after = events.iter().filter(|event| event.began() > gone).count();
            (after >= 3).then(|| events.iter().filter(|event| event.began() > began).cloned().collect::<Vec<_>>())
        })
        .unwrap();
    let longest = tries.iter().map(wovenet_tests::netns::Event::took).max().unwrap();
    measured("44 killed for good: held connections are reset after", dead);
    measured("44 killed for good: tries, and the longest wait of one", (tries.len(), longest));
    assert!(dead <= DEAD_WITHIN, "{dead:?}");
    assert!(tries.iter().all(|event| event.outcome() == "reset"), "{tries:?}");
    assert!(longest <= LONGEST_WAIT, "{longest:?}");
    pair.office.start().unwrap();
    pair.home.wait_working().unwrap();
}
