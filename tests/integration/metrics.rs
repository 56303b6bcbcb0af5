//! What an agent measures, as docs/operations.md tells.

use std::collections::BTreeSet;

use wovenet_tests::mesh::Mesh;
use wovenet_tests::until::{PATIENCE, until};

use crate::apps;
use crate::clients::{echoes, refused};

const OPERATIONS: &str = include_str!("../../docs/operations.md");

/// The metrics that the page lists.
fn documented() -> BTreeSet<String> {
    let section = OPERATIONS.split("\n### Metrics\n").nth(1).unwrap();
    let names = section.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    let names = names.flat_map(|cell| cell.split(", ").map(|name| name.trim_matches('`').to_owned()));
    names.collect()
}

#[test]
fn every_documented_metric_is_told_and_every_told_one_is_documented() {
    let mesh = Mesh::start().unwrap();
    let office = mesh.site("office").unwrap().listening().unwrap().exposes("echo", apps::echo());
    let mut office = mesh.run(office.exposes("dead", apps::nobody())).unwrap();
    let home = mesh.site("home").unwrap().uses("office", "echo").unwrap().uses("office", "dead").unwrap();
    let home = mesh.run(home).unwrap();
    home.connected("office", 2).unwrap();
    echoes(home.local("office/echo"));
    refused(home.local("office/dead"));
    // Channels end and are made again.
    office.kill().unwrap();
    office.start().unwrap();
    let again = || home.metric("wovenet_agent_tunnel_reconnects_total", &[]).ok().filter(|count| *count >= 2.0);
    until("channels that ended are counted", PATIENCE, again).unwrap();
    home.connected("office", 2).unwrap();
    echoes(home.local("office/echo"));
    let told: BTreeSet<String> = [home.metrics().unwrap(), office.metrics().unwrap()].concat().into_iter().collect();
    let documented = documented();
    assert!(documented.len() > 40, "{documented:?}");
    let unknown: Vec<_> = told.difference(&documented).collect();
    let missing: Vec<_> = documented.difference(&told).collect();
    assert!(unknown.is_empty() && missing.is_empty(), "not documented: {unknown:?}, not told: {missing:?}");
    for (name, labels) in [
        ("tunnel_udp_datagrams_total", &["office", "tx"][..]),
        ("tunnel_udp_bytes_total", &["office", "rx"]),
        ("tunnel_established_timestamp_seconds", &["office"]),
        ("tunnel_min_rtt_seconds", &["office"]),
        ("discovery_updates_total", &["new"]),
        ("stream_duration_seconds_count", &["remote"]),
        ("config_apply_duration_seconds_count", &[]),
        ("config_source", &["file"]),
    ] {
        let value = home.metric(&format!("wovenet_agent_{name}"), labels).unwrap();
        assert!(value > 0.0, "{name} {labels:?}: {value}");
    }
    let apps = |state: &str| home.metric("wovenet_agent_discovery_apps", &[state]).unwrap();
    assert_eq!((apps("\"healthy\""), apps("\"unhealthy\"")), (2.0, 0.0));
}
