//! How soon what changes is so everywhere.

use std::time::{Duration, Instant};

use crate::scene::{APPS, Scene, until};

/// From a change of an object to its agents.
const IN_AGENTS_WITHIN: Duration = Duration::from_secs(2);
/// From a change of an object to its conditions.
const TOLD_WITHIN: Duration = Duration::from_secs(5);
/// From an agent that has lost its last channel to the slices.
const OUT_WITHIN: Duration = Duration::from_secs(1);
/// After so long without a word an agent is silent.
const SILENT_AFTER: Duration = Duration::from_secs(8);
/// How often each is tried; the median counts, as the machine has other work.
const TRIES: usize = 3;

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort();
    all[all.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_in_the_agents_within_two_seconds_and_in_the_conditions_within_five() {
    let scene = Scene::new().await;
    let _operator = scene.operator("one").await;
    until("the agent is configured", || scene.agent.revision() > 0).await;
    let (mut in_agents, mut told) = (Vec::new(), Vec::new());
    for number in 0..TRIES {
        let app = format!("db{number}");
        let changed = Instant::now();
        scene.uses(&app, 1);
        until("the agent listens for it", || scene.agent.local_sockets().len() > number).await;
        in_agents.push(changed.elapsed());
        scene.serves(&app).await;
        told.push(changed.elapsed());
    }
    let (in_agents, told) = (median(in_agents), median(told));
    assert!(in_agents <= IN_AGENTS_WITHIN && told <= TOLD_WITHIN, "{in_agents:?} {told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_without_a_channel_leaves_the_slices_within_a_second_and_comes_back_with_one() {
    let scene = Scene::new().await;
    scene.uses("db", 1);
    let _operator = scene.operator("one").await;
    scene.serves("db").await;
    let mut out = Vec::new();
    for _ in 0..TRIES {
        let lost = Instant::now();
        scene.agent.has_path(false);
        until("it is not listed", || scene.listed("db").is_empty()).await;
        out.push(lost.elapsed());
        scene.agent.has_path(true);
        until("it is listed", || !scene.listed("db").is_empty()).await;
    }
    let out = median(out);
    assert!(out <= OUT_WITHIN, "{out:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_falls_silent_leaves_the_slices_after_eight_seconds() {
    let scene = Scene::new().await;
    let other = scene.another_agent().await;
    scene.uses("db", 1);
    let _operator = scene.operator("one").await;
    until("both are listed", || scene.listed("db").len() == 2).await;
    let silent = Instant::now();
    other.falls_silent();
    until("it is not listed", || scene.listed("db") == [scene.agent.address.to_string()]).await;
    // Its last word may have been up to a poll before.
    let took = silent.elapsed();
    assert!((SILENT_AFTER - Duration::from_secs(5)..SILENT_AFTER + Duration::from_secs(4)).contains(&took), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_tell_each_transition_of_ready_and_not_what_takes_its_course() {
    let scene = Scene::new().await;
    scene.uses("db", 1);
    let _operator = scene.operator("one").await;
    scene.serves("db").await;
    scene.agent.has_path(false);
    scene.tells(("remoteapps", APPS, "db"), "Ready", "False NoPath").await;
    let told = || {
        let events = scene.server.all("events");
        let of_app = events.iter().filter(|event| event.pointer("/regarding/kind") == Some(&"RemoteApp".into()));
        let text = |event: &serde_json::Value, field: &str| event[field].as_str().unwrap_or_default().to_owned();
        let mut told: Vec<_> = of_app.map(|event| (text(event, "type"), text(event, "reason"))).collect();
        told.sort();
        told
    };
    let wanted = [("Normal", "Ready"), ("Warning", "NoPath")].map(|(type_, reason)| (type_.into(), reason.into()));
    until("both transitions are told", || told() == wanted).await;
}
