//! What arrives is what was sent, and ends as it ended.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use wovenet_config::app::Target;
use wovenet_config::socket::AppSocket;

use super::{ask, connect, echo, pattern};
use crate::forward::testing::{World, app, exposed, metric, patiently, remote, until};

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn bytes_pass_unchanged_both_ways_at_once() {
    let (world, address) = World::single(app(echo).await).await;
    let sent = pattern(5 * MIB);
    let (mut read, mut write) = connect(address).await.into_split();
    let writing = {
        let sent = sent.clone();
        tokio::spawn(async move {
            write.write_all(&sent).await.unwrap();
            write.shutdown().await.unwrap();
        })
    };
    let mut received = Vec::new();
    patiently(read.read_to_end(&mut received)).await.unwrap();
    writing.await.unwrap();
    assert!(received == sent);
    world.quiet().await;
    let bytes = |direction| metric(&world.near_registry, "wovenet_agent_bytes_total", &[("direction", direction)]);
    assert_eq!((bytes("rx"), bytes("tx")), (sent.len() as f64, sent.len() as f64));
}

#[tokio::test]
async fn fault_72_a_client_that_half_closes_receives_a_long_answer_whole() {
    let answer = pattern(10 * MIB);
    let expected = answer.clone();
    let target = app(move |mut stream| {
        let answer = answer.clone();
        async move {
            let mut request = Vec::new();
            stream.read_to_end(&mut request).await.unwrap();
            assert_eq!(request, b"GET");
            stream.write_all(&answer).await.unwrap();
        }
    })
    .await;
    let (_world, address) = World::single(target).await;
    assert!(ask(address, b"GET").await == expected);
}

#[tokio::test]
async fn fault_72_an_app_that_half_closes_goes_on_reading() {
    let (told, mut heard) = tokio::sync::mpsc::channel(1);
    let target = app(move |mut stream| {
        let told = told.clone();
        async move {
            stream.write_all(b"hello").await.unwrap();
            stream.shutdown().await.unwrap();
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.unwrap();
            told.send(rest).await.unwrap();
        }
    })
    .await;
    let (_world, address) = World::single(target).await;
    let mut client = connect(address).await;
    let mut greeting = Vec::new();
    patiently(client.read_to_end(&mut greeting)).await.unwrap();
    assert_eq!(greeting, b"hello");
    client.write_all(b"and more").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(patiently(heard.recv()).await.unwrap(), b"and more");
}

#[tokio::test]
async fn probes_that_connect_and_close_are_harmless() {
    let (world, address) = World::single(app(echo).await).await;
    for _ in 0..200 {
        drop(connect(address).await);
    }
    for _ in 0..50 {
        assert_eq!(ask(address, b"short request").await, b"short request");
    }
    world.quiet().await;
    let ended = metric(&world.near_registry, "wovenet_agent_streams_total", &[]);
    assert_eq!(ended, 250.0);
}

#[tokio::test]
async fn an_app_that_answers_early_and_closes_is_heard_to_the_end() {
    let target = app(|mut stream| async move {
        let mut start = [0u8; 1024];
        stream.read_exact(&mut start).await.unwrap();
        stream.write_all(b"413 too large").await.unwrap();
        stream.shutdown().await.unwrap();
        // Reads on for a while, as a careful server does, and then closes on the client.
        let mut rest = vec![0u8; 64 * 1024];
        stream.read_exact(&mut rest).await.unwrap();
    })
    .await;
    let (world, address) = World::single(target).await;
    let (mut read, mut write) = connect(address).await.into_split();
    let writing = tokio::spawn(async move { while write.write_all(&[0u8; 16 * 1024]).await.is_ok() {} });
    let mut answer = [0u8; 13];
    patiently(read.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"413 too large");
    patiently(writing).await.unwrap();
    world.quiet().await;
}

#[tokio::test]
async fn unix_sockets_serve_at_both_ends() {
    let directory = tempfile::tempdir().unwrap();
    let (app_path, local_path) = (directory.path().join("app.sock"), directory.path().join("run/local.sock"));
    let listener = UnixListener::bind(&app_path).unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        stream.read_to_end(&mut request).await.unwrap();
        request.reverse();
        stream.write_all(&request).await.unwrap();
    });
    let world = World::new().await;
    world.far.apply(&[], &[exposed("app", Target::Single(AppSocket::Unix(app_path)))]);
    let mut local = remote("app");
    local.local_socket = AppSocket::Unix(local_path.clone());
    world.near.apply(&[local], &[]);
    until("bound", || world.near.status()[0].bound().is_some()).await;
    let mut client = UnixStream::connect(&local_path).await.unwrap();
    client.write_all(b"abc").await.unwrap();
    client.shutdown().await.unwrap();
    let mut answer = Vec::new();
    patiently(client.read_to_end(&mut answer)).await.unwrap();
    assert_eq!(answer, b"cba");
    world.quiet().await;
    world.near.apply(&[], &[]);
    until("removed", || !local_path.exists()).await;
}

#[tokio::test]
async fn bytes_are_moved_on_the_runtime_of_the_stream() {
    let (world, address) = World::single(app(echo).await).await;
    let other = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    *world.opener.runtime.lock() = Some(other.handle().clone());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let thread = std::thread::spawn(move || other.block_on(async { stopped.await.ok() }));
    assert_eq!(ask(address, &pattern(MIB)).await, pattern(MIB));

    let mut client = connect(address).await;
    client.write_all(b"x").await.unwrap();
    patiently(client.read_exact(&mut [0u8; 1])).await.unwrap();
    drop(stop);
    tokio::task::spawn_blocking(|| thread.join()).await.unwrap().unwrap();
    // The runtime is gone with its tasks: what they held is reset, not ended.
    super::expect_reset(&mut client).await;
    world.quiet().await;
}
