//! Limits hold, and what is over them is reset at once.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wovenet_config::app::Target;
use wovenet_config::socket::AppSocket;

use super::{ask, connect, echo, expect_reset};
use crate::forward::testing::{World, app, exposed, metric, patiently, remote, until};
use crate::forward::{APP_DIALS_MAX, DRAIN_DEFAULT};

#[tokio::test]
async fn two_thousand_connections_at_once_are_all_served() {
    const CONNECTIONS: usize = 2_000;
    let mut transport = quinn::TransportConfig::default();
    transport.max_concurrent_bidi_streams(16_384u32.into());
    let world = World::with(transport, DRAIN_DEFAULT).await;
    world.far.apply(&[], &[exposed("app", Target::Single(AppSocket::Tcp(app(echo).await)))]);
    world.near.apply(&[remote("app")], &[]);
    let address = world.bound(0).await;
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(connect(address).await);
    }
    until("all open", || world.far.activity()[0].open == CONNECTIONS).await;
    for (number, client) in clients.iter_mut().enumerate() {
        client.write_all(&number.to_be_bytes()).await.unwrap();
    }
    for (number, client) in clients.iter_mut().enumerate() {
        let mut answer = [0u8; 8];
        patiently(client.read_exact(&mut answer)).await.unwrap();
        assert_eq!(answer, number.to_be_bytes());
    }
    drop(clients);
    world.quiet().await;
}

#[tokio::test]
async fn clients_over_the_limit_of_either_side_are_reset_and_room_is_used_again() {
    for near_limit in [true, false] {
        let world = World::new().await;
        let mut remote_app = remote("app");
        let mut exposed_app = exposed("app", Target::Single(AppSocket::Tcp(app(echo).await)));
        if near_limit {
            remote_app.max_connections = 1;
        } else {
            exposed_app.max_connections = Some(1);
        }
        world.far.apply(&[], &[exposed_app]);
        world.near.apply(&[remote_app], &[]);
        let address = world.bound(0).await;
        let mut first = connect(address).await;
        first.write_all(b"x").await.unwrap();
        patiently(first.read_exact(&mut [0u8; 1])).await.unwrap();
        expect_reset(&mut connect(address).await).await;
        let busy = metric(&world.near_registry, "wovenet_agent_streams_total", &[("result", "busy")]);
        assert_eq!(busy, 1.0);
        drop(first);
        world.quiet().await;
        assert_eq!(ask(address, b"room").await, b"room");
    }
}

#[tokio::test]
async fn one_address_takes_no_more_than_its_share_and_others_are_served() {
    let world = World::new().await;
    world.far.apply(&[], &[exposed("app", Target::Single(AppSocket::Tcp(app(echo).await)))]);
    let mut limited = remote("app");
    limited.max_connections_per_client = Some(2);
    world.near.apply(&[limited], &[]);
    let address = world.bound(0).await;
    let mut clients = [connect(address).await, connect(address).await];
    for client in &mut clients {
        client.write_all(b"x").await.unwrap();
        patiently(client.read_exact(&mut [0u8; 1])).await.unwrap();
    }
    expect_reset(&mut connect(address).await).await;
    let other = tokio::net::TcpSocket::new_v4().unwrap();
    other.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = other.connect(address).await.unwrap();
    other.write_all(b"x").await.unwrap();
    patiently(other.read_exact(&mut [0u8; 1])).await.unwrap();
    drop((clients, other));
    world.quiet().await;
    assert_eq!(ask(address, b"room").await, b"room");
}

#[tokio::test]
async fn fault_70_dials_to_an_app_that_does_not_accept_are_limited_and_time_out() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("full.sock");
    let full = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    full.bind(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
    full.listen(0).unwrap();
    let _filler = std::os::unix::net::UnixStream::connect(&path).unwrap();
    let world = World::new().await;
    let mut black_hole = exposed("app", Target::Single(AppSocket::Unix(path)));
    black_hole.connect_timeout = Duration::from_secs(3);
    world.far.apply(&[], &[black_hole]);
    world.near.apply(&[remote("app")], &[]);
    let address = world.bound(0).await;
    let mut clients = Vec::new();
    for _ in 0..APP_DIALS_MAX + 1 {
        clients.push(connect(address).await);
    }
    for client in &mut clients {
        expect_reset(client).await;
    }
    world.quiet().await;
    let ended = |result| metric(&world.near_registry, "wovenet_agent_streams_total", &[("result", result)]);
    assert!(ended("busy") >= 1.0);
    assert_eq!(ended("busy") + ended("failed"), (APP_DIALS_MAX + 1) as f64);
}

/// A full backlog drops what asks for a connection, as a firewall does.
#[tokio::test]
async fn fault_70_an_app_that_never_answers_costs_its_connect_timeout_and_then_a_reset() {
    let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    full.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    full.listen(0).unwrap();
    let target = full.local_addr().unwrap().as_socket().unwrap();
    let mut fillers = Vec::new();
    while let Ok(filler) = std::net::TcpStream::connect_timeout(&target, Duration::from_millis(300)) {
        fillers.push(filler);
    }
    let world = World::new().await;
    let mut black_hole = exposed("app", Target::Single(AppSocket::Tcp(target)));
    black_hole.connect_timeout = Duration::from_secs(1);
    world.far.apply(&[], &[black_hole]);
    world.near.apply(&[remote("app")], &[]);
    let (address, begun) = (world.bound(0).await, std::time::Instant::now());
    expect_reset(&mut connect(address).await).await;
    let took = begun.elapsed();
    assert!((Duration::from_secs(1)..Duration::from_secs(4)).contains(&took), "{took:?}");
    let dials = metric(&world.far_registry, "wovenet_agent_target_connect_duration_seconds", &[("result", "timeout")]);
    assert_eq!(dials, 1.0);
    world.quiet().await;
}

#[tokio::test]
async fn an_idle_stream_is_cut_when_that_is_configured() {
    for near in [true, false] {
        let world = World::new().await;
        let mut remote_app = remote("app");
        let mut exposed_app = exposed("app", Target::Single(AppSocket::Tcp(app(echo).await)));
        let idle = Some(Duration::from_millis(400));
        if near {
            remote_app.idle_timeout = idle;
        } else {
            exposed_app.idle_timeout = idle;
        }
        world.far.apply(&[], &[exposed_app]);
        world.near.apply(&[remote_app], &[]);
        expect_reset(&mut connect(world.bound(0).await).await).await;
        world.quiet().await;
    }
}
