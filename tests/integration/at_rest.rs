//! Two connected agents with nothing to do.

use std::time::Duration;

use wovenet_tests::mesh::{Mesh, Site};
use wovenet_tests::until::{PATIENCE, until};

use crate::apps;

/// The most processor time that an agent at rest may use while one long poll waits in vain, which is [`POLL`] long.
const AT_MOST: Duration = Duration::from_millis(150);
/// One long poll.
const POLL: &str = "3s";

#[test]
fn at_rest_the_status_does_not_change_and_the_processor_sleeps() {
    let mesh = Mesh::start().unwrap();
    let office = mesh.site("office").unwrap().listening().unwrap().exposes("echo", apps::echo());
    let mut office = mesh.run(office).unwrap();
    let mut home = mesh.run(mesh.site("home").unwrap().uses("office", "echo").unwrap()).unwrap();
    home.connected("office", 2).unwrap();
    office.connected("home", 2).unwrap();
    for site in [&mut home, &mut office] {
        until("a long poll in vain, at next to no cost", PATIENCE, || {
            let before = processor_time(site);
            let etag = site.api("GET", "/status", "").unwrap().header("etag").unwrap().replace('"', "");
            let polled = site.api("GET", &format!("/status?after={etag}&wait={POLL}"), "").unwrap();
            (polled.status == 304 && processor_time(site) - before <= AT_MOST).then_some(())
        })
        .unwrap();
    }
}

/// The processor time that the agent has used since its start.
fn processor_time(site: &mut Site) -> Duration {
    let id = site.agent.process().unwrap().id();
    let nanoseconds = |task: std::io::Result<std::fs::DirEntry>| {
        let text = std::fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|field| field.parse::<u64>().ok()).unwrap_or(0)
    };
    Duration::from_nanos(std::fs::read_dir(format!("/proc/{id}/task")).unwrap().map(nanoseconds).sum())
}
