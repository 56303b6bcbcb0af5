//! Changes of the configuration touch what they change, and shutdown leaves nothing.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wovenet_config::app::{AllowedSites, ExposedApp, SiteReference, Target};
use wovenet_config::socket::AppSocket;

use super::{ask, connect, echo, expect_reset};
use crate::forward::ListenerState;
use crate::forward::testing::{CLIENT_SITE, World, app, exposed, metric, patiently, remote, until};

async fn exchange(client: &mut TcpStream) {
    client.write_all(b"ping").await.unwrap();
    let mut answer = [0u8; 4];
    patiently(client.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"ping");
}

async fn echo_exposed(name: &str) -> ExposedApp {
    exposed(name, Target::Single(AppSocket::Tcp(app(echo).await)))
}

#[tokio::test]
async fn fault_80_a_port_in_use_is_reported_and_bound_once_it_is_free() {
    let holder = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = holder.local_addr().unwrap();
    let world = World::new().await;
    world.far.apply(&[], &[echo_exposed("app").await]);
    let mut taken = remote("app");
    taken.local_socket = AppSocket::Tcp(address);
    let mut changes = world.near.changes();
    world.near.apply(&[taken, remote("app")], &[]);
    while !matches!(world.near.status()[0].state, ListenerState::Failed { .. }) {
        patiently(changes.changed()).await.unwrap();
    }
    assert_eq!(ask(world.bound(1).await, b"unharmed").await, b"unharmed");
    drop(holder);
    assert_eq!(world.bound(0).await, address);
    assert_eq!(ask(address, b"bound").await, b"bound");
    assert!(metric(&world.near_registry, "wovenet_agent_listener_bind_failures_total", &[]) >= 1.0);
    assert_eq!(metric(&world.near_registry, "wovenet_agent_listener_up", &[]), 2.0);
}

#[tokio::test]
async fn fault_81_a_regular_file_at_a_unix_local_socket_is_reported_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("precious");
    std::fs::write(&path, "data").unwrap();
    let world = World::new().await;
    let mut local = remote("app");
    local.local_socket = AppSocket::Unix(path.clone());
    world.near.apply(&[local], &[]);
    until("failed", || matches!(world.near.status()[0].state, ListenerState::Failed { .. })).await;
    assert_eq!(std::fs::read(&path).unwrap(), b"data");
}

#[tokio::test]
async fn an_unchanged_app_keeps_its_socket_and_streams_when_others_change() {
    let world = World::new().await;
    let (kept, other) = (echo_exposed("kept").await, echo_exposed("other").await);
    world.far.apply(&[], &[kept.clone(), other]);
    world.near.apply(&[remote("kept"), remote("other")], &[]);
    let (address, other_address) = (world.bound(0).await, world.bound(1).await);
    let (mut client, mut other_client) = (connect(address).await, connect(other_address).await);
    exchange(&mut client).await;
    exchange(&mut other_client).await;

    world.far.apply(&[], &[kept]);
    world.near.apply(&[remote("kept")], &[]);
    expect_reset(&mut other_client).await;
    exchange(&mut client).await;
    assert_eq!(world.bound(0).await, address);
    patiently(async {
        while TcpStream::connect(other_address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    drop(other_client);
    until("series of the removed app are gone", || {
        world.near_registry.gather().iter().all(|family| {
            family.get_metric().iter().all(|m| m.get_label().iter().all(|label| label.value() != "paris/other"))
        })
    })
    .await;
}

#[tokio::test]
async fn a_removed_remote_app_lets_its_streams_go_on() {
    let world = World::new().await;
    world.far.apply(&[], &[echo_exposed("app").await]);
    world.near.apply(&[remote("app")], &[]);
    let mut client = connect(world.bound(0).await).await;
    exchange(&mut client).await;
    world.near.apply(&[], &[]);
    exchange(&mut client).await;
    assert!(world.near.status().is_empty());
}

#[tokio::test]
async fn a_stream_of_a_removed_remote_app_is_reset_when_it_outlives_the_drain() {
    let world = World::with(quinn::TransportConfig::default(), Duration::from_millis(300)).await;
    world.far.apply(&[], &[echo_exposed("app").await]);
    world.near.apply(&[remote("app")], &[]);
    let mut client = connect(world.bound(0).await).await;
    exchange(&mut client).await;
    world.near.apply(&[], &[]);
    expect_reset(&mut client).await;
}

#[tokio::test]
async fn a_site_that_is_no_longer_allowed_loses_its_streams_and_no_others_do() {
    let world = World::new().await;
    let (mut narrowed, kept) = (echo_exposed("narrowed").await, echo_exposed("kept").await);
    world.far.apply(&[], &[narrowed.clone(), kept.clone()]);
    world.near.apply(&[remote("narrowed"), remote("kept")], &[]);
    let (mut loses, mut keeps) = (connect(world.bound(0).await).await, connect(world.bound(1).await).await);
    exchange(&mut loses).await;
    exchange(&mut keeps).await;

    let us = SiteReference::Name(CLIENT_SITE.parse().unwrap());
    narrowed.allowed_sites = AllowedSites::Only([us].into());
    world.far.apply(&[], &[narrowed.clone(), kept.clone()]);
    exchange(&mut loses).await;

    narrowed.allowed_sites = AllowedSites::Only([SiteReference::Name("oslo".parse().unwrap())].into());
    world.far.apply(&[], &[narrowed.clone(), kept.clone()]);
    expect_reset(&mut loses).await;
    exchange(&mut keeps).await;
    expect_reset(&mut connect(world.bound(0).await).await).await;

    narrowed.allowed_sites = AllowedSites::All;
    world.far.apply(&[], &[narrowed, kept]);
    let mut again = connect(world.bound(0).await).await;
    exchange(&mut again).await;
}

#[tokio::test]
async fn a_new_target_serves_new_streams_and_leaves_old_ones_where_they_are() {
    let world = World::new().await;
    world.far.apply(&[], &[echo_exposed("app").await]);
    world.near.apply(&[remote("app")], &[]);
    let address = world.bound(0).await;
    let mut old = connect(address).await;
    exchange(&mut old).await;
    let shout = app(|mut stream| async move { stream.write_all(b"new").await.unwrap() }).await;
    world.far.apply(&[], &[exposed("app", Target::Single(AppSocket::Tcp(shout)))]);
    exchange(&mut old).await;
    assert_eq!(ask(address, b"").await, b"new");
}

#[tokio::test]
async fn a_socket_that_moves_to_another_app_is_bound_again_at_once() {
    let world = World::new().await;
    let shout = app(|mut stream| async move { stream.write_all(b"two").await.unwrap() }).await;
    world.far.apply(&[], &[echo_exposed("one").await, exposed("two", Target::Single(AppSocket::Tcp(shout)))]);
    world.near.apply(&[remote("one")], &[]);
    let address = world.bound(0).await;
    let mut moved = remote("two");
    moved.local_socket = AppSocket::Tcp(address);
    world.near.apply(&[moved], &[]);
    assert_eq!(world.bound(0).await, address);
    assert_eq!(ask(address, b"").await, b"two");
    assert_eq!(metric(&world.near_registry, "wovenet_agent_listener_bind_failures_total", &[]), 0.0);
}

#[tokio::test]
async fn shutdown_lets_streams_finish_and_refuses_new_ones() {
    let world = World::new().await;
    world.far.apply(&[], &[echo_exposed("app").await]);
    world.near.apply(&[remote("app")], &[]);
    let address = world.bound(0).await;
    let mut client = connect(address).await;
    exchange(&mut client).await;
    let near = std::sync::Arc::clone(&world.near);
    let closing = tokio::spawn(async move { near.shutdown(Duration::from_secs(3_600)).await });
    patiently(async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    exchange(&mut client).await;
    client.shutdown().await.unwrap();
    patiently(closing).await.unwrap();
}

#[tokio::test]
async fn shutdown_resets_what_outlives_the_grace_at_both_ends() {
    let world = World::new().await;
    world.far.apply(&[], &[echo_exposed("app").await]);
    world.near.apply(&[remote("app")], &[]);
    let mut client = connect(world.bound(0).await).await;
    exchange(&mut client).await;
    patiently(world.far.shutdown(Duration::from_millis(100))).await;
    expect_reset(&mut client).await;
    patiently(world.near.shutdown(Duration::ZERO)).await;
}

#[tokio::test]
async fn a_wildcard_takes_clients_of_both_ip_versions() {
    let world = World::new().await;
    world.far.apply(&[], &[echo_exposed("app").await]);
    let mut wildcard = remote("app");
    wildcard.local_socket = AppSocket::Tcp("0.0.0.0:0".parse().unwrap());
    world.near.apply(&[wildcard], &[]);
    let port = world.bound(0).await.port();
    assert_eq!(ask(([127, 0, 0, 1], port).into(), b"4").await, b"4");
    if TcpListener::bind("[::1]:0").await.is_ok() {
        assert_eq!(ask((std::net::Ipv6Addr::LOCALHOST, port).into(), b"6").await, b"6");
    }
}
