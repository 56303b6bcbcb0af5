//! Tunnels between agents in one process, over real UDP sockets.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use support::{Agent, Options, PATIENCE, local_socket, ring};
use tokio::time::timeout;
use wovenet_agent::tunnel::status::SiteStatus;
use wovenet_agent::tunnel::{IncomingStream, ProviderState, ServeStream, StreamOpener};
use wovenet_config::tunnel::{CongestionControl, Tunnel};

async fn round_trip(from: &Agent, to: &Agent, text: &'static [u8]) -> Bytes {
    let exchange = async {
        let mut opened = from.handle.open(to.name.clone()).await.unwrap();
        opened.send.write_chunk(Bytes::from_static(text)).await.unwrap();
        opened.send.finish();
        let mut answer = Vec::new();
        while let Some(chunk) = opened.recv.read_chunk(1024).await.unwrap() {
            answer.extend_from_slice(&chunk);
        }
        answer
    };
    timeout(PATIENCE, exchange).await.unwrap().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sites_with_one_key_build_a_tunnel_of_two_channels_and_both_open_streams() {
    let (a, b) = (Agent::start(Options::new("a")), Agent::start(Options { listens: false, ..Options::new("b") }));
    b.knows(&[&a]).await;
    b.connected("a", 2).await;
    a.connected("b", 2).await;
    assert_eq!(round_trip(&b, &a, b"from b").await, "from b");
    assert_eq!(round_trip(&a, &b, b"from a").await, "from a");
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_47_sites_that_dial_each_other_at_the_same_instant_keep_one_channel_a_slot() {
    for _ in 0..10 {
        let (a, b) = (Agent::start(Options::new("a")), Agent::start(Options::new("b")));
        let (others_of_a, others_of_b) = ([&b], [&a]);
        tokio::join!(a.knows(&others_of_a), b.knows(&others_of_b));
        let dialled = |site: &SiteStatus| site.channels.iter().filter(|channel| channel.dialled).count();
        let two_good = |site: &SiteStatus| site.channels.len() == 2 && site.channels.iter().all(|c| c.state == "good");
        let agreed = |of_b: &SiteStatus| {
            let of_a = b.handle.sites().into_iter().find(|site| site.site_name == "a");
            two_good(of_b) && of_a.is_some_and(|of_a| two_good(&of_a) && dialled(&of_a) + dialled(of_b) == 2)
        };
        a.site("b", agreed).await;
        assert_eq!(round_trip(&a, &b, b"x").await, "x");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_sees_only_the_apps_that_it_may_use_and_follows_changes() {
    use wovenet_config::app::{AllowedSites, SiteReference};
    let (a, b) = (Agent::start(Options::new("a")), Agent::start(Options { listens: false, ..Options::new("b") }));
    b.knows(&[&a]).await;
    b.site("a", |site| site.apps.iter().any(|app| app.app_name == "app")).await;
    let mut private = support::exposed("private");
    private.allowed_sites = AllowedSites::Only(BTreeSet::from([SiteReference::Name("c".parse().unwrap())]));
    a.exposed.send_replace(Arc::new(vec![private, support::exposed("public")]));
    let names = |site: &SiteStatus| site.apps.iter().map(|app| app.app_name.clone()).collect::<Vec<_>>();
    let a_name = "a".parse().unwrap();
    let private = "private".parse().unwrap();
    let hidden =
        |site: &SiteStatus| names(site) == ["public"] && b.handle.state(&a_name, &private) == ProviderState::NotExposed;
    b.site("a", hidden).await;
    assert_eq!(b.handle.state(&a_name, &"public".parse().unwrap()), ProviderState::Available);
    assert_eq!(b.handle.state(&"nowhere".parse().unwrap(), &"public".parse().unwrap()), ProviderState::NoPath);
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_1_a_site_with_another_mesh_key_gets_no_channel() {
    let (a, b) = (
        Agent::start(Options::new("a")),
        Agent::start(Options { listens: false, mesh: ring(2, None), ..Options::new("b") }),
    );
    b.knows(&[&a]).await;
    let site = b.site("a", |site| site.error.is_some()).await;
    assert!(site.channels.is_empty());
    assert!(
        a.metric("wovenet_agent_tunnel_connects_total", &[("role", "listener"), ("result", "key_mismatch")]) >= 1.0
    );
    assert_eq!(a.metric("wovenet_agent_tunnel_connects_total", &[("role", "listener"), ("result", "ok")]), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_start_of_a_dialling_agent_replaces_its_old_channels_at_once() {
    let a = Agent::start(Options::new("a"));
    let key = wovenet_agent::peer::SiteKey::generate().unwrap();
    let options = |generation| Options { key: key.clone(), generation, listens: false, ..Options::new("b") };
    let before = Agent::start(options(1));
    before.knows(&[&a]).await;
    let old: BTreeSet<u64> = a.connected("b", 2).await.channels.iter().map(|channel| channel.id).collect();
    // The old process stays as it is: its channels would live on for 15 s.
    let after = Agent::start(options(2));
    after.knows(&[&a]).await;
    let replaced =
        |site: &SiteStatus| site.channels.len() == 2 && site.channels.iter().all(|channel| !old.contains(&channel.id));
    timeout(Duration::from_secs(10), a.site("b", replaced)).await.unwrap();
    assert_eq!(round_trip(&a, &after, b"new").await, "new");
}

#[tokio::test(flavor = "multi_thread")]
async fn mesh_keys_rotate_without_dropping_a_channel_and_the_old_key_ends_with_its_removal() {
    let (a, b) = (Agent::start(Options::new("a")), Agent::start(Options { listens: false, ..Options::new("b") }));
    let c = Agent::start(Options { listens: false, ..Options::new("c") });
    b.knows(&[&a]).await;
    c.knows(&[&a]).await;
    let before = ids(&a.connected("b", 2).await);
    a.connected("c", 2).await;
    let holds_both = |site: &SiteStatus| site.channels.iter().all(|channel| channel.mesh_keys.len() == 2);
    a.ring.send_replace(ring(1, Some(2)));
    b.ring.send_replace(ring(1, Some(2)));
    tokio::join!(a.site("b", holds_both), b.site("a", holds_both));
    b.ring.send_replace(ring(2, Some(1)));
    a.ring.send_replace(ring(2, Some(1)));
    b.ring.send_replace(ring(2, None));
    a.ring.send_replace(ring(2, None));
    a.site("c", |site| site.channels.is_empty()).await;
    assert_eq!(ids(&a.connected("b", 2).await), before);
}

fn ids(site: &SiteStatus) -> BTreeSet<u64> {
    site.channels.iter().map(|channel| channel.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn going_away_lets_streams_finish_and_then_ends_the_channels() {
    let (a, b) = (Agent::start(Options::new("a")), Agent::start(Options { listens: false, ..Options::new("b") }));
    b.knows(&[&a]).await;
    b.connected("a", 2).await;
    let mut opened = b.handle.open("a".parse().unwrap()).await.unwrap();
    opened.send.write_chunk(Bytes::from_static(b"one")).await.unwrap();
    assert_eq!(opened.recv.read_chunk(16).await.unwrap().unwrap(), "one");
    a.tunnels.go_away();
    b.site("a", |site| site.channels.len() == 1 && site.channels[0].state == "draining").await;
    opened.send.write_chunk(Bytes::from_static(b"two")).await.unwrap();
    assert_eq!(opened.recv.read_chunk(16).await.unwrap().unwrap(), "two");
    opened.send.finish();
    assert_eq!(opened.recv.read_chunk(16).await.unwrap(), None);
    drop(opened);
    b.site("a", |site| site.channels.is_empty()).await;
    let state = || b.handle.state(&"a".parse().unwrap(), &"app".parse().unwrap());
    assert_eq!(state(), ProviderState::Available, "it may be back in a moment");
    let mut changes = b.handle.subscribe();
    while state() != ProviderState::NoPath {
        timeout(Duration::from_secs(10), changes.changed()).await.unwrap().unwrap();
    }
    a.site("b", |site| site.channels.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_moves_lets_its_streams_finish_and_then_listens_at_its_new_address() {
    let (mut a, b) = (Agent::start(Options::new("a")), Agent::start(Options { listens: false, ..Options::new("b") }));
    b.knows(&[&a]).await;
    b.connected("a", 2).await;
    let mut opened = b.handle.open("a".parse().unwrap()).await.unwrap();
    opened.send.write_chunk(Bytes::from_static(b"one")).await.unwrap();
    assert_eq!(opened.recv.read_chunk(16).await.unwrap().unwrap(), "one");
    let everywhere = SocketAddr::from(([0, 0, 0, 0], a.address().await.port()));
    a.tunnels.apply(&Tunnel {
        local_sockets: vec![local_socket(everywhere)],
        channels_per_site: 2,
        congestion_control: CongestionControl::default(),
        workers: Some(2),
    });
    b.site("a", |site| site.channels.len() == 1 && site.channels[0].state == "draining").await;
    opened.send.write_chunk(Bytes::from_static(b"two")).await.unwrap();
    assert_eq!(opened.recv.read_chunk(16).await.unwrap().unwrap(), "two");
    opened.send.finish();
    assert_eq!(opened.recv.read_chunk(16).await.unwrap(), None);
    drop(opened);
    assert_eq!(a.address().await.port(), everywhere.port());
    b.connected("a", 2).await;
    assert_eq!(round_trip(&b, &a, b"again").await, "again");
}

/// Sends `length` zeros to whoever opens a stream, and leaves them to the channel.
fn send_zeros(length: usize) -> ServeStream {
    Arc::new(move |mut incoming: IncomingStream| {
        Box::pin(async move {
            incoming.recv.read_chunk(16).await.unwrap();
            incoming.send.write_chunk(vec![0; length].into()).await.unwrap();
            incoming.send.finish();
        })
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_still_on_its_way_when_a_channel_has_drained_arrives() {
    const LENGTH: usize = 8 << 20;
    let (a, b) = (
        Agent::start(Options::new("a")),
        Agent::start_with(Options { listens: false, ..Options::new("b") }, send_zeros(LENGTH)),
    );
    b.knows(&[&a]).await;
    a.connected("b", 2).await;
    let mut opened = a.handle.open("b".parse().unwrap()).await.unwrap();
    opened.send.write_chunk(Bytes::from_static(b"go")).await.unwrap();
    opened.send.finish();
    let mut received = opened.recv.read_chunk(LENGTH).await.unwrap().unwrap().len();
    // The dialler has sent its last and would be the one to close.
    b.tunnels.go_away();
    while let Some(chunk) = timeout(PATIENCE, opened.recv.read_chunk(LENGTH)).await.unwrap().unwrap() {
        received += chunk.len();
    }
    assert_eq!(received, LENGTH);
    drop(opened);
    a.site("b", |site| site.channels.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_key_is_cut_off_within_two_seconds_and_not_let_in_again() {
    let (a, b) = (Agent::start(Options::new("a")), Agent::start(Options { listens: false, ..Options::new("b") }));
    b.knows(&[&a]).await;
    a.connected("b", 2).await;
    let trust = a.trust;
    a.peers.update(|directory| directory.reconfigure(trust, &[], &[b.key.public()]));
    let gone = b.site("a", |site| site.channels.is_empty() && site.error.is_some());
    timeout(Duration::from_secs(2), b.site("a", |site| site.channels.is_empty())).await.unwrap();
    gone.await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_tells_peers_at_once() {
    let (a, b) = (Agent::start(Options::new("a")), Agent::start(Options { listens: false, ..Options::new("b") }));
    b.knows(&[&a]).await;
    b.connected("a", 2).await;
    timeout(Duration::from_secs(5), a.tunnels.shutdown(Duration::from_secs(1))).await.unwrap();
    timeout(Duration::from_secs(2), b.site("a", |site| site.channels.is_empty())).await.unwrap();
}
