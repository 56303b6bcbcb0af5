//! A reset at one end is a reset at the other, and nothing stays behind.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use wovenet_config::socket::AppSocket;

use super::{ask, connect, echo, expect_reset, reset_now};
use crate::forward::app_stream::AppStream;
use crate::forward::copy::Copy;
use crate::forward::metrics::{Metrics, Role};
use crate::forward::shared::Shared;
use crate::forward::testing::{World, app, metric, patiently, until};
use crate::tunnel::testing::Pair;
use crate::tunnel::{ResetCode, StreamError};

/// An app that hands its connections to the test.
async fn handed_over() -> (std::net::SocketAddr, mpsc::Receiver<tokio::net::TcpStream>) {
    let (give, take) = mpsc::channel(64);
    let target = app(move |stream| {
        let give = give.clone();
        async move { give.send(stream).await.unwrap() }
    })
    .await;
    (target, take)
}

#[tokio::test]
async fn fault_73_a_client_reset_reaches_the_app_as_a_reset() {
    let (target, mut apps) = handed_over().await;
    let (world, address) = World::single(target).await;
    let mut client = connect(address).await;
    client.write_all(b"x").await.unwrap();
    let mut served = patiently(apps.recv()).await.unwrap();
    served.read_u8().await.unwrap();
    reset_now(client);
    expect_reset(&mut served).await;
    world.quiet().await;
}

#[tokio::test]
async fn fault_73_an_app_reset_reaches_the_client_as_a_reset() {
    let (target, mut apps) = handed_over().await;
    let (world, address) = World::single(target).await;
    let mut client = connect(address).await;
    client.write_all(b"x").await.unwrap();
    let mut served = patiently(apps.recv()).await.unwrap();
    served.read_u8().await.unwrap();
    reset_now(served);
    expect_reset(&mut client).await;
    world.quiet().await;
    let reset = metric(&world.near_registry, "wovenet_agent_streams_total", &[("result", "reset")]);
    assert_eq!(reset, 1.0);
}

#[tokio::test]
async fn a_client_that_half_closed_and_then_reset_is_noticed_while_all_is_idle() {
    let (target, mut apps) = handed_over().await;
    let (world, address) = World::single(target).await;
    let mut client = connect(address).await;
    client.shutdown().await.unwrap();
    let mut served = patiently(apps.recv()).await.unwrap();
    assert_eq!(patiently(served.read(&mut [0u8; 8])).await.unwrap(), 0);
    reset_now(client);
    world.quiet().await;
    let error = loop {
        if let Err(error) = served.write_all(b"still there?").await {
            break error;
        }
        tokio::task::yield_now().await;
    };
    assert!(matches!(error.kind(), std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe));
}

#[tokio::test]
async fn a_client_that_resets_while_its_upload_is_blocked_is_noticed() {
    let (target, mut apps) = handed_over().await;
    let (world, address) = World::single(target).await;
    let mut client = connect(address).await;
    let mut served = patiently(apps.recv()).await.unwrap();
    let chunk = vec![0u8; 64 * 1024];
    while tokio::time::timeout(Duration::from_millis(500), client.write_all(&chunk)).await.is_ok() {}
    reset_now(client);
    world.quiet().await;
    expect_reset(&mut served).await;
}

#[tokio::test]
async fn twenty_aborted_downloads_leave_the_channel_usable() {
    let target = app(|mut stream| async move {
        let mut first = [0u8; 1];
        stream.read_exact(&mut first).await.unwrap();
        if first == *b"e" {
            return echo(stream).await;
        }
        while stream.write_all(&[7u8; 64 * 1024]).await.is_ok() {}
    })
    .await;
    let (world, address) = World::single(target).await;
    for round in 0..20 {
        let mut client = connect(address).await;
        client.write_all(b"d").await.unwrap();
        patiently(client.read_exact(&mut [0u8; 256 * 1024])).await.unwrap();
        if round % 2 == 0 {
            reset_now(client);
        }
    }
    world.quiet().await;
    for _ in 0..20 {
        let answer = ask(address, &[b'e'; 200_000]).await;
        assert_eq!(answer.len(), 199_999);
    }
    world.quiet().await;
}

#[tokio::test]
async fn the_loss_of_the_channel_is_a_reset_at_both_ends() {
    let (target, mut apps) = handed_over().await;
    let (world, address) = World::single(target).await;
    let mut client = connect(address).await;
    let mut served = patiently(apps.recv()).await.unwrap();
    served.write_all(b"partial").await.unwrap();
    patiently(client.read_exact(&mut [0u8; 7])).await.unwrap();
    world.pair.listener.close(1u8.into(), b"");
    expect_reset(&mut client).await;
    expect_reset(&mut served).await;
    world.quiet().await;
}

#[tokio::test]
async fn fault_74_a_task_that_panics_resets_its_stream_and_is_counted() {
    let pair = Pair::connect().await;
    let (near, mut far) = pair.open(b"x").await;
    let registry = prometheus::Registry::new();
    let shared = Shared::new(Arc::new(crate::forward::testing::NoOpener), Metrics::register(&registry).unwrap());
    shared.spawn(&tokio::runtime::Handle::current(), async move {
        let _held = near;
        panic!("a bug");
    });
    shared.tasks.close();
    patiently(shared.tasks.wait()).await;
    assert_eq!(metric(&registry, "wovenet_agent_task_panics_total", &[]), 1.0);
    let ended = loop {
        match patiently(far.1.read_chunk(10)).await {
            Ok(Some(_)) => {}
            other => break other,
        }
    };
    assert!(matches!(ended, Err(StreamError::Reset(code)) if ResetCode::Dropped.is(code)));
}

/// A fifth of the memory that an idle connection may cost an agent, which is 12 KB.
const CONNECTION_TASK_MAX_BYTES: usize = 12_000 / 5;

#[tokio::test]
async fn the_task_of_a_connection_is_small() {
    let pair = Pair::connect().await;
    let ((send, recv), _far) = pair.open(b"x").await;
    let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
    let socket = AppStream::dial(&AppSocket::Tcp(app(echo).await)).await.unwrap();
    let copy = Copy {
        socket,
        send,
        recv,
        revoked: CancellationToken::new(),
        idle_timeout: None,
        unsent: bytes::Bytes::new(),
        metrics: metrics.app(Role::Remote, "site/app"),
    };
    let size = std::mem::size_of_val(&*copy.run());
    assert!(size < CONNECTION_TASK_MAX_BYTES, "{size} bytes");
}

#[tokio::test]
async fn a_far_side_that_wants_no_more_before_all_was_sent_is_heard_to_the_end() {
    let pair = Pair::connect().await;
    let ((send, recv), (mut far_send, mut far_recv)) = pair.open(b"x").await;
    far_recv.stop(ResetCode::NotWanted);
    far_send.write_chunk(bytes::Bytes::from_static(b"too large")).await.unwrap();
    far_send.finish();
    patiently(send.stopped()).await;
    let (target, mut clients) = handed_over().await;
    let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
    let copy = Copy {
        socket: AppStream::dial(&AppSocket::Tcp(target)).await.unwrap(),
        send,
        recv,
        revoked: CancellationToken::new(),
        idle_timeout: None,
        unsent: bytes::Bytes::from_static(b"still to be sent"),
        metrics: metrics.app(Role::Remote, "site/app"),
    };
    let copying = tokio::spawn(copy.run());
    let mut client = patiently(clients.recv()).await.unwrap();
    let mut answer = Vec::new();
    patiently(client.read_to_end(&mut answer)).await.unwrap();
    assert_eq!(answer, b"too large");
    drop(client);
    patiently(copying).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_slow_reader_holds_back_the_sender_and_nobody_else() {
    let (target, mut apps) = handed_over().await;
    let (world, address) = World::single(target).await;
    let slow = connect(address).await;
    let mut served = patiently(apps.recv()).await.unwrap();
    let chunk = vec![1u8; 64 * 1024];
    let mut accepted = 0;
    while tokio::time::timeout(Duration::from_millis(500), served.write_all(&chunk)).await.is_ok() {
        accepted += chunk.len();
        assert!(accepted < 64 * 1024 * 1024, "no back-pressure");
    }
    let mut other = connect(address).await;
    let mut other_served = patiently(apps.recv()).await.unwrap();
    other_served.write_all(b"quick").await.unwrap();
    patiently(other.read_exact(&mut [0u8; 5])).await.unwrap();
    drop((other, other_served));
    reset_now(slow);
    until("the slow stream is gone", || world.far.activity()[0].open == 0).await;
    expect_reset(&mut served).await;
}
