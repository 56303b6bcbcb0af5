//! What is refused is refused at once, alike, and without a trace on the channel.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::AsyncReadExt;
use wovenet_config::app::{AllowedSites, Target};
use wovenet_config::range::TargetRange;
use wovenet_config::socket::AppSocket;

use super::{ask, connect, echo, expect_reset};
use crate::forward::HEADER_TIMEOUT;
use crate::forward::testing::{World, app, dead_app, exposed, metric, patiently, remote, until};
use crate::tunnel::{Answer, RecvHalf, ResetCode, SendHalf, StreamError, StreamHeader};

/// How often each cause of a refusal is tried.
const TRIES: u32 = 20;

async fn open(world: &World) -> (SendHalf, RecvHalf) {
    let (send, recv) = world.pair.dialler.open_bi().await.unwrap();
    crate::tunnel::testing::halves(send, recv)
}

fn header(app: &str) -> Bytes {
    StreamHeader { app: app.parse().unwrap(), port: None, target: None, client: None, repeats: None }.encode().unwrap()
}

async fn everything(recv: &mut RecvHalf) -> Result<Vec<u8>, StreamError> {
    let mut received = Vec::new();
    while let Some(chunk) = patiently(recv.read_chunk(1024)).await? {
        received.extend_from_slice(&chunk);
    }
    Ok(received)
}

#[tokio::test]
async fn fault_66_an_unknown_app_and_an_app_of_others_are_refused_with_the_same_bytes_and_no_dial() {
    let (seen, mut dialled) = tokio::sync::mpsc::channel(1);
    let target = app(move |_| {
        let seen = seen.clone();
        async move { seen.send(()).await.unwrap() }
    })
    .await;
    let world = World::new().await;
    let mut granted_to_others = exposed("secret", Target::Single(AppSocket::Tcp(target)));
    granted_to_others.allowed_sites = AllowedSites::Only(Default::default());
    world.far.apply(&[], &[granted_to_others]);
    let mut quickest = [Duration::MAX; 2];
    // The least of many is what each costs; the rest is what the machine does meanwhile.
    for _ in 0..TRIES {
        for (name, quickest) in ["secret", "absent"].into_iter().zip(&mut quickest) {
            let (mut send, mut recv) = open(&world).await;
            let begun = Instant::now();
            send.write_chunk(header(name)).await.unwrap();
            assert_eq!(everything(&mut recv).await.unwrap(), [Answer::Refused.to_byte()]);
            *quickest = begun.elapsed().min(*quickest);
        }
    }
    let [secret, absent] = quickest;
    assert!(secret.abs_diff(absent) < Duration::from_millis(5), "{quickest:?}");
    assert!(dialled.try_recv().is_err());
    let refused =
        |app| metric(&world.far_registry, "wovenet_agent_streams_total", &[("result", "refused"), ("app", app)]);
    assert_eq!((refused("secret"), refused(""), refused("absent")), (f64::from(TRIES), f64::from(TRIES), 0.0));
}

#[tokio::test]
async fn fault_69_a_header_may_come_byte_by_byte_or_joined_with_data() {
    let (world, _) = World::single(app(echo).await).await;
    for step in [1, usize::MAX] {
        let (mut send, mut recv) = open(&world).await;
        let bytes = [&header("app")[..], b"data"].concat();
        for part in bytes.chunks(step.min(bytes.len())) {
            send.write_chunk(Bytes::copy_from_slice(part)).await.unwrap();
            tokio::task::yield_now().await;
        }
        send.finish();
        assert_eq!(everything(&mut recv).await.unwrap(), b"\0data");
    }
}

#[tokio::test]
async fn fault_69_a_header_of_impossible_length_or_content_is_reset() {
    let (world, address) = World::single(app(echo).await).await;
    let malformed: [&[u8]; 6] =
        [&[1, 0, 0], &[1, 4, 1], &[1, 255, 255], &[9, 0, 2, b'{', b'}'], &[1, 0, 2, b'{', b'}'], &[1, 0, 1, b'x']];
    for bytes in malformed {
        let (mut send, mut recv) = open(&world).await;
        send.write_chunk(Bytes::copy_from_slice(bytes)).await.unwrap();
        assert!(matches!(everything(&mut recv).await, Err(StreamError::Reset(_))), "{bytes:?}");
    }
    assert_eq!(ask(address, b"still served").await, b"still served");
}

#[tokio::test]
async fn fault_69_a_header_that_stalls_is_reset_after_its_time_even_when_bytes_trickle() {
    let (world, address) = World::single(app(echo).await).await;
    let (mut send, mut recv) = open(&world).await;
    let begun = Instant::now();
    let trickle = async {
        for byte in header("app").chunks(1) {
            if send.write_chunk(Bytes::copy_from_slice(byte)).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let ended = tokio::select! { ended = everything(&mut recv) => ended, () = trickle => panic!("never reset") };
    assert!(matches!(ended, Err(StreamError::Reset(_))));
    assert!(begun.elapsed() >= HEADER_TIMEOUT);
    assert_eq!(ask(address, b"still served").await, b"still served");
}

#[tokio::test]
async fn every_stream_without_a_proper_header_is_in_the_audit_log_with_its_cause() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let log = tracing_subscriber::fmt().with_ansi(false).with_writer(crate::telemetry::open(&path).unwrap()).finish();
    // While there is one subscriber only, another test's thread that comes by first decides that nobody wants a line.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _guard = tracing::subscriber::set_default(log);
    let (world, _) = World::single(app(echo).await).await;
    for header in [&[9, 0, 0][..], &[1]] {
        let (mut send, mut recv) = open(&world).await;
        send.write_chunk(Bytes::from_static(header)).await.unwrap();
        assert!(matches!(everything(&mut recv).await, Err(StreamError::Reset(_))));
    }
    let log = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("audit: stream refused")).collect();
    assert!(lines.len() == 2 && lines[0].contains("header_malformed") && lines[1].contains("header_timeout"), "{log}");
}

#[tokio::test]
async fn a_storm_of_streams_that_are_reset_at_once_leaves_nothing_behind() {
    let (world, address) = World::single(app(echo).await).await;
    for round in 0..500 {
        let (mut send, mut recv) = open(&world).await;
        send.write_chunk(header("app")).await.unwrap();
        if round % 2 == 0 {
            recv.stop(ResetCode::AppReset);
        }
        send.reset(ResetCode::AppReset);
    }
    assert_eq!(ask(address, b"still served").await, b"still served");
    world.quiet().await;
}

#[tokio::test]
async fn fault_70_every_failure_at_the_far_side_resets_the_client_at_once() {
    let world = World::new().await;
    let range = TargetRange { addresses: vec!["10.0.2.0/24".parse().unwrap()], ports: vec![80..=80] };
    let dead = Target::Single(AppSocket::Tcp(dead_app().await));
    world.far.apply(&[], &[exposed("dead", dead), exposed("range", Target::Range(range))]);
    let mut outside = remote("range");
    outside.target = Some(AppSocket::Tcp("10.0.3.1:80".parse().unwrap()));
    world.near.apply(&[remote("dead"), remote("range"), outside, remote("absent")], &[]);
    for index in 0..4 {
        let address = world.bound(index).await;
        let begun = Instant::now();
        expect_reset(&mut connect(address).await).await;
        assert!(begun.elapsed() < remote("dead").connect_timeout / 2, "not at once");
    }
    world.quiet().await;
    let results = |result| metric(&world.near_registry, "wovenet_agent_streams_total", &[("result", result)]);
    assert_eq!((results("failed"), results("refused")), (1.0, 3.0));
}

#[tokio::test]
async fn two_hundred_clients_of_a_dead_app_leave_everything_else_working() {
    let (echo_app, dead) = (app(echo).await, dead_app().await);
    let world = World::new().await;
    let app = |name, address| exposed(name, Target::Single(AppSocket::Tcp(address)));
    world.far.apply(&[], &[app("dead", dead), app("echo", echo_app)]);
    world.near.apply(&[remote("dead"), remote("echo")], &[]);
    let (dead_address, echo_address) = (world.bound(0).await, world.bound(1).await);
    for _ in 0..200 {
        expect_reset(&mut connect(dead_address).await).await;
    }
    assert_eq!(ask(echo_address, b"alive").await, b"alive");
    world.quiet().await;
}

#[tokio::test]
async fn fault_71_an_app_that_comes_back_is_served_again_without_a_change() {
    let target = dead_app().await;
    let (_world, address) = World::single(target).await;
    expect_reset(&mut connect(address).await).await;
    let listener = tokio::net::TcpListener::bind(target).await.unwrap();
    tokio::spawn(async move { echo(listener.accept().await.unwrap().0).await });
    assert_eq!(ask(address, b"back").await, b"back");
}

#[tokio::test]
async fn the_proxy_header_comes_first_and_names_the_client() {
    let (told, mut heard) = tokio::sync::mpsc::channel(1);
    let target = app(move |mut stream| {
        let told = told.clone();
        async move {
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await.unwrap();
            told.send(all).await.unwrap();
        }
    })
    .await;
    let world = World::new().await;
    let mut proxied = exposed("app", Target::Single(AppSocket::Tcp(target)));
    proxied.proxy_protocol = true;
    world.far.apply(&[], &[proxied]);
    world.near.apply(&[remote("app")], &[]);
    let mut client = connect(world.bound(0).await).await;
    let own = client.local_addr().unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut client, b"data").await.unwrap();
    tokio::io::AsyncWriteExt::shutdown(&mut client).await.unwrap();
    let all = patiently(heard.recv()).await.unwrap();
    assert_eq!(all, [crate::forward::proxy_protocol::encode(Some(own), Some(target)), b"data".to_vec()].concat());
    until("ended", || world.far.activity()[0].open == 0).await;
}
