//! Peers that break the protocol, on purpose: they become no channel, and hold nobody up.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn::ConnectionError;
use quinn::crypto::rustls::QuicServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use serde_json::{Value, json};
use support::raw::{RawPeer, closed, read, write};
use support::{Agent, Options, PATIENCE, exposed, ring, static_peer};
use tokio::time::timeout;
use wovenet_agent::peer::{SiteKey, site_key};
use wovenet_config::key::PublicKey;
use wovenet_config::peer::{HostPort, Trust};
use wovenet_identity::tls;

/// The exchange that makes a channel may take this long in all (docs/protocol.md §6).
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(5);

fn listener_result(agent: &Agent, result: &str) -> f64 {
    agent.metric("wovenet_agent_tunnel_connects_total", &[("role", "listener"), ("result", result)])
}

async fn counted(agent: &Agent, result: &str) {
    let seen = async {
        while listener_result(agent, result) < 1.0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, seen).await.unwrap();
}

/// Asserts that a connection was closed with the fixed code and without detail.
fn assert_tells_nothing(error: &ConnectionError) {
    let ConnectionError::ApplicationClosed(close) = error else { panic!("{error}") };
    assert_eq!((close.error_code.into_inner(), close.reason.len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_speaks_by_the_book_becomes_a_channel() {
    let a = Agent::start(Options::new("a"));
    let raw = RawPeer::new("raw", ring(1, None));
    let _joined = raw.join(&a, 0).await.unwrap();
    a.connected("raw", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_2_with_pinned_trust_an_unlisted_key_is_refused_inside_tls() {
    let a = Agent::start(Options { trust: Trust::Pinned, ..Options::new("a") });
    let raw = RawPeer::new("raw", ring(1, None));
    // The dialler's side of TLS 1.3 is complete before the listener has judged it.
    let error = match raw.connect(&a).await {
        Ok(connection) => closed(&connection).await.0,
        Err(error) => error,
    };
    assert!(matches!(error, ConnectionError::ConnectionClosed(_)), "{error}");
    counted(&a, "connection").await;
    assert_eq!(listener_result(&a, "ok"), 0.0);
    assert!(a.handle.sites().is_empty());
}

/// Shows the public key of one site and signs with the private key of another.
fn borrowed_identity(shown: &PublicKey, signs: &SiteKey) -> Arc<CertifiedKey> {
    let signer = tls::provider().key_provider.load_private_key(signs.to_tls()).unwrap();
    Arc::new(CertifiedKey::new(vec![CertificateDer::from(site_key::spki(shown))], signer))
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_3_a_listener_that_shows_the_pinned_key_but_signs_with_another_is_not_talked_to() {
    let (real, thief) = (SiteKey::generate().unwrap(), SiteKey::generate().unwrap());
    let resolver = rustls::server::AlwaysResolvesServerRawPublicKeys::new(borrowed_identity(&real.public(), &thief));
    let mut tls = tls::server_config(&thief, Arc::new(|_| true)).unwrap();
    tls.cert_resolver = Arc::new(resolver);
    let server = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).unwrap()));
    let impostor = quinn::Endpoint::server(server, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let port = impostor.local_addr().unwrap().port();
    let b = Agent::start(Options { listens: false, ..Options::new("b") });
    let a = Agent::start(Options { key: real, listens: false, ..Options::new("a") });
    let peer = static_peer(&a, vec![HostPort { host: "127.0.0.1".into(), port }]);
    b.peers.update(|directory| directory.reconfigure(Trust::SharedKey, &[peer], &[]));
    let seen = timeout(PATIENCE, async { impostor.accept().await.unwrap().await }).await.unwrap();
    let error = seen.expect_err("the handshake fails");
    let alert = |error: &ConnectionError| matches!(error, ConnectionError::ConnectionClosed(close) if close.error_code == quinn::TransportErrorCode::crypto(51));
    assert!(alert(&error), "decrypt_error is told: {error}");
    let site = b.site("a", |site| site.error.is_some()).await;
    assert!(site.channels.is_empty());
    assert_eq!(b.metric("wovenet_agent_tunnel_connects_total", &[("role", "dialler"), ("result", "ok")]), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_3_a_dialler_that_shows_a_members_key_but_signs_with_another_never_reaches_the_control_stream() {
    let a = Agent::start(Options { trust: Trust::Pinned, ..Options::new("a") });
    let member = Agent::start(Options { listens: false, ..Options::new("member") });
    let listed = [static_peer(&member, vec![])];
    a.peers.update(|directory| directory.reconfigure(Trust::Pinned, &listed, &[]));
    let thief = RawPeer::new("member", ring(1, None));
    let shown = borrowed_identity(&member.key.public(), &thief.key);
    let mut tls = tls::client_config(&thief.key, a.key.public()).unwrap();
    tls.client_auth_cert_resolver = Arc::new(rustls::client::AlwaysResolvesClientRawPublicKeys::new(shown));
    let error = match thief.connect_with(tls, a.address().await).await {
        Ok(connection) => closed(&connection).await.0,
        Err(error) => error,
    };
    assert!(matches!(error, ConnectionError::ConnectionClosed(_)), "{error}");
    counted(&a, "connection").await;
    assert_eq!(listener_result(&a, "ok"), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_5_a_dialler_whose_key_the_listener_rejects_reports_a_failure_and_was_never_connected() {
    let (a, b) = (Agent::start(Options::new("a")), Agent::start(Options { listens: false, ..Options::new("b") }));
    a.peers.update(|directory| directory.reconfigure(Trust::SharedKey, &[], &[b.key.public()]));
    b.knows(&[&a]).await;
    let site = b.site("a", |site| site.error.is_some()).await;
    assert!(site.channels.is_empty());
    let dialled = |result| b.metric("wovenet_agent_tunnel_connects_total", &[("role", "dialler"), ("result", result)]);
    assert_eq!(dialled("ok"), 0.0);
    assert_eq!(a.metric("wovenet_agent_tunnel_channels_ended_total", &[]), 0.0);
    assert_eq!(b.metric("wovenet_agent_tunnel_channels_ended_total", &[]), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_11_a_recorded_hello_and_finish_prove_nothing_on_another_connection() {
    let a = Agent::start(Options::new("a"));
    let raw = RawPeer::new("raw", ring(1, None));
    let recorded = raw.join(&a, 0).await.unwrap();
    let connection = raw.connect(&a).await.unwrap();
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    write(&mut send, &recorded.hello).await.unwrap();
    read(&mut recv).await.unwrap();
    write(&mut send, &recorded.finish).await.unwrap();
    assert!(read(&mut recv).await.is_err(), "accepted");
    assert_tells_nothing(&closed(&connection).await.0);
    counted(&a, "proof").await;
    a.connected("raw", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_13_a_dialler_with_our_own_key_is_refused() {
    let a = Agent::start(Options::new("a"));
    let mirror = RawPeer::with_key("a", ring(1, None), a.key.clone());
    let error = mirror.join(&a, 0).await.err().unwrap();
    assert!(
        error.starts_with("accepted: ") || error.starts_with("TLS: ") || error.starts_with("challenge: "),
        "{error}"
    );
    assert_eq!(listener_result(&a, "ok"), 0.0);
    assert!(a.handle.sites().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_13_a_listener_that_reflects_what_we_prove_is_refused() {
    let key = SiteKey::generate().unwrap();
    let tls = tls::server_config(&key, Arc::new(|_| true)).unwrap();
    let server = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).unwrap()));
    let mirror = quinn::Endpoint::server(server, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let port = mirror.local_addr().unwrap().port();
    let reflecting = tokio::spawn(async move {
        let mut closes = Vec::new();
        while closes.is_empty() {
            let connection = mirror.accept().await.unwrap().await.unwrap();
            let (mut send, mut recv) = connection.accept_bi().await.unwrap();
            let hello: Value = serde_json::from_slice(&read(&mut recv).await.unwrap()).unwrap();
            let challenge = json!({"version": 1, "key_id": hello["key_ids"][0], "nonce": hello["nonce"]});
            write(&mut send, challenge.to_string().as_bytes()).await.unwrap();
            let finish: Value = serde_json::from_slice(&read(&mut recv).await.unwrap()).unwrap();
            let accepted = json!({"statement": hello["statement"], "proof": finish["proof"], "limits": {}});
            write(&mut send, accepted.to_string().as_bytes()).await.unwrap();
            closes.push(closed(&connection).await.0);
        }
        closes
    });
    let b = Agent::start(Options { listens: false, ..Options::new("b") });
    let a = Agent::start(Options { key, listens: false, ..Options::new("a") });
    let peer = static_peer(&a, vec![HostPort { host: "127.0.0.1".into(), port }]);
    b.peers.update(|directory| directory.reconfigure(Trust::SharedKey, &[peer], &[]));
    let closes = timeout(PATIENCE, reflecting).await.unwrap().unwrap();
    closes.iter().for_each(assert_tells_nothing);
    let site = b.site("a", |site| site.error.is_some()).await;
    assert!(site.channels.is_empty());
    let dialled = |result| b.metric("wovenet_agent_tunnel_connects_total", &[("role", "dialler"), ("result", result)]);
    assert!(dialled("proof") >= 1.0 && dialled("ok") == 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_13_our_own_address_stated_as_a_peers_leads_to_no_channel() {
    let a = Agent::start(Options::new("a"));
    let other = Agent::start(Options { listens: false, ..Options::new("other") });
    let own = a.address().await;
    let peer = static_peer(&other, vec![HostPort { host: own.ip().to_string(), port: own.port() }]);
    a.peers.update(|directory| directory.reconfigure(Trust::SharedKey, &[peer], &[]));
    let site = a.site("other", |site| site.error.is_some()).await;
    assert!(site.channels.is_empty());
    assert!(site.error.unwrap().contains("this site itself"));
    assert_eq!(listener_result(&a, "ok"), 0.0);
    let met = || a.metric("wovenet_agent_tunnel_connects_total", &[("role", "dialler"), ("result", "own")]);
    let once = met();
    assert!(once >= 1.0);
    // Another address is a reason to dial again at once, and the one that led back here is left out.
    let lonely = RawPeer::new("other", ring(1, None));
    let nowhere = HostPort { host: "127.0.0.1".into(), port: lonely.endpoint.local_addr().unwrap().port() };
    let addresses = vec![HostPort { host: own.ip().to_string(), port: own.port() }, nowhere];
    a.peers.update(|directory| directory.reconfigure(Trust::SharedKey, &[static_peer(&other, addresses)], &[]));
    a.site("other", |site| site.error.as_ref().is_some_and(|error| !error.contains("this site itself"))).await;
    assert_eq!(met(), once);
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_88_a_control_stream_that_trickles_is_cut_after_five_seconds_in_all() {
    let a = Agent::start(Options::new("a"));
    let slow = RawPeer::new("slow", ring(1, None));
    let connection = slow.connect(&a).await.unwrap();
    let begun = Instant::now();
    let (mut send, _recv) = connection.open_bi().await.unwrap();
    let hello = slow.hello(0);
    let trickle = async {
        send.write_all(&u16::try_from(hello.len()).unwrap().to_be_bytes()).await.unwrap();
        for byte in hello.chunks(1) {
            if send.write_all(byte).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        std::future::pending::<()>().await
    };
    let error = tokio::select! { (error, _) = closed(&connection) => error, () = trickle => unreachable!() };
    assert_tells_nothing(&error);
    let took = begun.elapsed();
    assert!(
        took > ACCEPT_TIMEOUT - Duration::from_millis(500) && took < ACCEPT_TIMEOUT + Duration::from_secs(2),
        "{took:?}"
    );
    counted(&a, "timeout").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b10_fault_89_peers_that_stall_at_every_step_hold_no_other_up() {
    let a = Agent::start(Options::new("a"));
    let stalled = RawPeer::new("stalled", ring(1, None));
    let mut held = Vec::new();
    for step in 0..20 {
        let connection = stalled.connect(&a).await.unwrap();
        let mut streams = None;
        if step % 2 == 0 {
            let (mut send, recv) = connection.open_bi().await.unwrap();
            let hello = stalled.hello(step);
            let part = if step % 4 == 0 { &hello[..10] } else { &hello[..] };
            send.write_all(&u16::try_from(hello.len()).unwrap().to_be_bytes()).await.unwrap();
            send.write_all(part).await.unwrap();
            streams = Some((send, recv));
        }
        held.push((connection, streams));
    }
    // The least of several is what the stalled ones cost; the rest is what the machine does meanwhile.
    let mut quickest = Duration::MAX;
    let mut joined = Vec::new();
    for name in ["welcome-a", "welcome-b", "welcome-c", "welcome-d"] {
        let welcome = RawPeer::new(name, ring(1, None));
        let begun = Instant::now();
        joined.push(welcome.join(&a, 0).await.unwrap());
        quickest = quickest.min(begun.elapsed());
    }
    assert!(held.iter().all(|(connection, _)| connection.close_reason().is_none()), "they stall no longer");
    assert!(quickest <= Duration::from_millis(100), "{quickest:?}");
    for (connection, _) in &held {
        assert_tells_nothing(&closed(connection).await.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_90_a_member_that_opens_a_connection_for_each_of_many_slots_is_capped() {
    const CONNECTIONS: u16 = 1_000;
    let a = Agent::start(Options::new("a"));
    let greedy = Arc::new(RawPeer::new("greedy", ring(1, None)));
    let cap = 2 * usize::from(Options::new("a").channels);
    let mut held = Vec::new();
    for ordinal in 0..CONNECTIONS {
        if let Ok(joined) = greedy.join(&a, ordinal).await {
            held.push(joined);
        }
        assert!(a.handle.sites().iter().map(|site| site.channels.len()).sum::<usize>() <= cap);
        held.retain(|joined| joined.connection.close_reason().is_none());
    }
    let capped = async {
        while held.iter().filter(|joined| joined.connection.close_reason().is_none()).count() > cap {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, capped).await.unwrap();
    assert!(listener_result(&a, "refused") > f64::from(CONNECTIONS) / 2.0);
    let other = Agent::start(Options { listens: false, ..Options::new("other") });
    other.knows(&[&a]).await;
    other.connected("a", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_member_that_takes_no_more_control_frames_is_cut_off_within_two_seconds() {
    let a = Agent::start(Options::new("a"));
    let mut deaf = RawPeer::new("deaf", ring(1, None));
    let mut transport = quinn::TransportConfig::default();
    transport.stream_receive_window(quinn::VarInt::from_u32(8 * 1024));
    deaf.transport = Arc::new(transport);
    let joined = deaf.join(&a, 0).await.unwrap();
    a.connected("deaf", 1).await;
    // The catalogue is longer than what the member grants, and nobody reads it.
    let apps = (0..2_000).map(|app| exposed(&format!("app-{app}"))).collect();
    a.exposed.send_replace(Arc::new(apps));
    let mut blocked = joined.connection.stats().frame_rx.stream_data_blocked;
    while blocked == 0 {
        tokio::task::yield_now().await;
        blocked = joined.connection.stats().frame_rx.stream_data_blocked;
    }
    let denied = Instant::now();
    a.peers.update(|directory| directory.reconfigure(a.trust, &[], &[deaf.key.public()]));
    closed(&joined.connection).await;
    assert!(denied.elapsed() < Duration::from_secs(2), "{:?}", denied.elapsed());
}
