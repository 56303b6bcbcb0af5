//! Discovery over a real broker: mosquitto as a child process.

#[cfg(test)]
mod broker;
#[cfg(test)]
mod site;
#[cfg(test)]
mod websocket;

use std::time::{Duration, Instant};

use broker::{Mosquitto, Stranger, plain};
use rumqttc::{Publish, PublishOptions};
use site::{Setup, ring};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use wovenet_agent::discovery::{BrokerErrorClass, DropReason};
use wovenet_agent::peer::SiteKey;
use wovenet_config::message_channel::{Broker, BrokerTransport};
use wovenet_config::secret::SecretText;

#[tokio::test(flavor = "multi_thread")]
async fn sites_that_start_in_any_order_find_each_other_by_what_is_retained() {
    let Some(broker) = Mosquitto::open() else { return };
    let first = Setup::at(&[broker.address()]).start("first");
    first.connected().await;
    let second = Setup::at(&[broker.address()]).start("second");
    let found = second.finds("first").await;
    assert_eq!(found.agents.values().next().unwrap().endpoints, [site::endpoint("192.0.2.1")]);
    first.finds("second").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_only_dials_finds_others_and_announces_nothing() {
    let Some(broker) = Mosquitto::open() else { return };
    let dialler = Setup { address: None, ..Setup::at(&[broker.address()]) }.start("dialler");
    let listener = Setup::at(&[broker.address()]).start("listener");
    dialler.finds("listener").await;
    assert_eq!(listener.peers.read(|directory| directory.sites().count()), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_retains_nothing_is_made_up_for_by_hello_and_answer() {
    let Some(broker) = Mosquitto::start("allow_anonymous true\nretain_available false", |_| {}) else { return };
    let first = Setup::at(&[broker.address()]).start("first");
    first.connected().await;
    let late = Setup { address: None, ..Setup::at(&[broker.address()]) }.start("late");
    late.finds("first").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_address_is_announced_at_once() {
    let Some(broker) = Mosquitto::open() else { return };
    let (first, second) =
        (Setup::at(&[broker.address()]).start("first"), Setup::at(&[broker.address()]).start("second"));
    second.finds("first").await;
    first.moves_to("192.0.2.99");
    let moved = |site: &wovenet_agent::peer::KnownSite| {
        site.agents.values().any(|agent| agent.endpoints == [site::endpoint("192.0.2.99")])
    };
    second.sees("first", moved).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_broker_that_lost_everything_is_filled_again() {
    let Some(mut broker) = Mosquitto::open() else { return };
    let first = Setup::at(&[broker.address()]).start("first");
    first.connected().await;
    broker.kill();
    let lost = first.broker(0, |state| !state.connected).await;
    assert_eq!(lost.error.unwrap().class, BrokerErrorClass::Disconnected);
    broker.restart();
    first.connected().await;
    let late = Setup::at(&[broker.address()]).start("late");
    late.finds("first").await;
    first.finds("late").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_needed_where_the_broker_asks_for_one() {
    let configuration = "allow_anonymous false\npassword_file {dir}/passwords";
    let broker = Mosquitto::start(configuration, |directory| {
        let file = directory.join("passwords");
        std::process::Command::new("mosquitto_passwd")
            .args(["-b", "-c"])
            .arg(&file)
            .args(["mesh", "right"])
            .status()
            .unwrap();
    });
    let Some(broker) = broker else { return };
    let with =
        |password: &str| Broker { credentials: Some(("mesh".into(), SecretText::new(password))), ..broker.address() };
    let wrong = Setup::at(&[with("wrong")]).start("wrong");
    let state = wrong.broker(0, |state| state.error.is_some()).await;
    assert_eq!(state.error.clone().unwrap().class, BrokerErrorClass::Auth);
    assert!(!format!("{state:?}").contains("wrong"));
    Setup::at(&[with("right")]).start("right").connected().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_36_a_broker_with_a_trusted_certificate_is_used_and_another_gets_no_credentials() {
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let stranger = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let configuration = "allow_anonymous true\ncertfile {dir}/cert.pem\nkeyfile {dir}/key.pem";
    let broker = Mosquitto::start(configuration, |directory| {
        std::fs::write(directory.join("cert.pem"), certificate.cert.pem()).unwrap();
        std::fs::write(directory.join("key.pem"), certificate.signing_key.serialize_pem()).unwrap();
        std::fs::write(directory.join("other.pem"), stranger.cert.pem()).unwrap();
    });
    let Some(broker) = broker else { return };
    let trusting = |file: &str| Broker {
        transport: BrokerTransport::Tls,
        host: "localhost".into(),
        credentials: Some(("mesh".into(), SecretText::new("secret"))),
        ca_file: Some(broker.directory.path().join(file)),
        ..broker.address()
    };
    let deceived = Setup::at(&[trusting("other.pem")]).start("deceived");
    let state = deceived.broker(0, |state| state.error.is_some()).await;
    assert_eq!(state.error.unwrap().class, BrokerErrorClass::Tls);
    assert!(!broker.log().contains("New client connected"), "{}", broker.log());
    Setup::at(&[trusting("cert.pem")]).start("home").connected().await;
    assert!(broker.log().contains("u'mesh'"), "{}", broker.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_36_a_broker_with_an_expired_certificate_gets_no_credentials() {
    let mut parameters = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    parameters.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let expired = parameters.self_signed(&key).unwrap();
    let configuration = "allow_anonymous true\ncertfile {dir}/cert.pem\nkeyfile {dir}/key.pem";
    let broker = Mosquitto::start(configuration, |directory| {
        std::fs::write(directory.join("cert.pem"), expired.pem()).unwrap();
        std::fs::write(directory.join("key.pem"), key.serialize_pem()).unwrap();
    });
    let Some(broker) = broker else { return };
    let address = Broker {
        transport: BrokerTransport::Tls,
        host: "localhost".into(),
        credentials: Some(("mesh".into(), SecretText::new("secret"))),
        ca_file: Some(broker.directory.path().join("cert.pem")),
        ..broker.address()
    };
    let site = Setup::at(&[address]).start("home");
    let state = site.broker(0, |state| state.error.is_some()).await;
    assert_eq!(state.error.unwrap().class, BrokerErrorClass::Tls);
    assert!(!broker.log().contains("New client connected"), "{}", broker.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_36_a_broker_whose_authority_changes_gets_no_credentials_until_it_is_the_trusted_one_again() {
    let [trusted, other] = [(); 2].map(|()| rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap());
    let configuration = "allow_anonymous true\ncertfile {dir}/cert.pem\nkeyfile {dir}/key.pem";
    let shows = |directory: &std::path::Path, certificate: &rcgen::CertifiedKey<rcgen::KeyPair>| {
        std::fs::write(directory.join("cert.pem"), certificate.cert.pem()).unwrap();
        std::fs::write(directory.join("key.pem"), certificate.signing_key.serialize_pem()).unwrap();
    };
    let broker = Mosquitto::start(configuration, |directory| {
        shows(directory, &trusted);
        std::fs::write(directory.join("ca.pem"), trusted.cert.pem()).unwrap();
    });
    let Some(mut broker) = broker else { return };
    let address = Broker {
        transport: BrokerTransport::Tls,
        host: "localhost".into(),
        credentials: Some(("mesh".into(), SecretText::new("secret"))),
        ca_file: Some(broker.directory.path().join("ca.pem")),
        ..broker.address()
    };
    let site = Setup::at(&[address]).start("home");
    site.connected().await;
    let logins = |broker: &Mosquitto| broker.log().matches("u'mesh'").count();
    shows(broker.directory.path(), &other);
    let before = logins(&broker);
    broker.restart();
    let state =
        site.broker(0, |state| state.error.as_ref().is_some_and(|error| error.class == BrokerErrorClass::Tls)).await;
    assert!(!state.connected);
    assert_eq!(logins(&broker), before);
    shows(broker.directory.path(), &trusted);
    broker.restart();
    site.connected().await;
    assert!(logins(&broker) > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_is_used_over_websockets() {
    let Some(broker) = Mosquitto::open() else { return };
    let port = websocket::relay(broker.port).await;
    let over = [Broker { transport: BrokerTransport::WebSocket, path: "/mqtt".into(), ..plain(port) }];
    let (first, second) = (Setup::at(&over).start("first"), Setup::at(&over).start("second"));
    second.finds("first").await;
    first.finds("second").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_31_a_huge_message_disconnects_nobody_and_discovery_goes_on() {
    let Some(broker) = Mosquitto::open() else { return };
    let first = Setup::at(&[broker.address()]).start("first");
    first.connected().await;
    let since = first.broker(0, |state| state.connected).await.since;
    let stranger = Stranger::connect(broker.port, "stranger");
    for size in [20_000, 1_000_000, 256_000_000] {
        stranger.publish(&first.hello_topic(), vec![7; size], true).await;
    }
    let late = Setup::at(&[broker.address()]).start("late");
    late.finds("first").await;
    first.finds("late").await;
    assert_eq!(first.broker(0, |state| state.connected).await.since, since);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_garbage_is_counted_and_members_are_still_heard() {
    let Some(broker) = Mosquitto::open() else { return };
    let first = Setup::at(&[broker.address()]).start("first");
    first.connected().await;
    let stranger = Stranger::connect(broker.port, "stranger");
    let (client, topic) = (stranger.client.clone(), first.hello_topic());
    let flood = tokio::spawn(async move {
        loop {
            let _ = client.publish(topic.as_str(), vec![7; 574], PublishOptions::at_most_once()).await;
        }
    });
    let start = Instant::now();
    let late = Setup::at(&[broker.address()]).start("late");
    first.finds("late").await;
    late.finds("first").await;
    assert!(start.elapsed() < Duration::from_secs(5));
    while first.metrics.dropped_total(DropReason::Rate) == 0 {
        assert!(start.elapsed() < Duration::from_secs(10));
        tokio::task::yield_now().await;
    }
    flood.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cleared_announcement_is_published_again() {
    let Some(broker) = Mosquitto::open() else { return };
    let first = Setup::at(&[broker.address()]).start("first");
    let mut stranger = Stranger::connect(broker.port, "stranger");
    let topic = first.announcement_topic();
    stranger.subscribe(&topic).await;
    stranger.next(|message| !message.payload.is_empty()).await;
    first.connected().await;
    for payload in [vec![], vec![7; 574]] {
        stranger.publish(&topic, payload.clone(), true).await;
        stranger.next(|message| message.payload[..] == payload[..]).await;
        stranger.next(|message: &Publish| !message.payload.is_empty() && message.payload[..] != payload[..]).await;
    }
    let late = Setup::at(&[broker.address()]).start("late");
    late.finds("first").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_union_of_several_brokers_counts() {
    let (Some(mut one), Some(two)) = (Mosquitto::open(), Mosquitto::open()) else { return };
    let both = Setup::at(&[one.address(), two.address()]).start("both");
    let first = Setup::at(&[one.address()]).start("first");
    let second = Setup::at(&[two.address()]).start("second");
    both.finds("first").await;
    both.finds("second").await;
    first.finds("both").await;
    second.finds("both").await;
    one.kill();
    both.broker(0, |state| !state.connected).await;
    let third = Setup::at(&[two.address()]).start("third");
    both.finds("third").await;
    third.finds("both").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_stops_says_so_and_its_announcement_stays() {
    let Some(broker) = Mosquitto::open() else { return };
    let (first, second) =
        (Setup::at(&[broker.address()]).start("first"), Setup::at(&[broker.address()]).start("second"));
    second.finds("first").await;
    let start = Instant::now();
    first.discovery.shutdown().await;
    assert!(start.elapsed() < Duration::from_secs(2));
    second.sees("first", |site| site.agents.values().all(|agent| agent.offline_hint)).await;
    Setup::at(&[broker.address()]).start("late").finds("first").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_mesh_key_on_our_topic_is_noticed_and_nothing_learned() {
    let Some(broker) = Mosquitto::open() else { return };
    let on = |key| Setup { topic: Some("home/mesh".into()), ring: ring(key, None), ..Setup::at(&[broker.address()]) };
    let (ours, theirs) = (on(1).start("ours"), on(2).start("theirs"));
    theirs.connected().await;
    let start = Instant::now();
    while ours.discovery.key_mismatches() == 0 {
        assert!(start.elapsed() < Duration::from_secs(10));
        tokio::task::yield_now().await;
    }
    assert_eq!(ours.peers.read(|directory| directory.sites().count()), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn sites_stay_in_sight_of_each_other_while_the_key_is_rotated() {
    let Some(broker) = Mosquitto::open() else { return };
    for topic in [None, Some("home/mesh".to_owned())] {
        let on = |ring| Setup { topic: topic.clone(), ring, ..Setup::at(&[broker.address()]) };
        let (old, both) = (on(ring(1, None)).start("old"), on(ring(1, Some(2))).start("both"));
        old.finds("both").await;
        both.finds("old").await;
        both.keys.send_replace(ring(2, Some(1)));
        let new = on(ring(2, None)).start("new");
        new.finds("both").await;
        both.finds("new").await;
        let late = on(ring(1, None)).start("late");
        late.finds("both").await;
        both.finds("late").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_of_a_site_is_noticed_and_the_connection_stays() {
    let Some(broker) = Mosquitto::open() else { return };
    let key = SiteKey::generate().unwrap();
    let first = Setup::at(&[broker.address()]).start_as("home", key.clone());
    first.connected().await;
    let clone = Setup { address: Some("192.0.2.50"), ..Setup::at(&[broker.address()]) }.start_as_clone("home", key);
    clone.connected().await;
    for address in ["192.0.2.2", "192.0.2.3", "192.0.2.4"] {
        first.moves_to(address);
        clone.moves_to(address);
    }
    let start = Instant::now();
    while first.peers.read(|directory| directory.own_duplicate_seen().is_none()) {
        assert!(start.elapsed() < Duration::from_secs(10));
        first.moves_to("192.0.2.5");
        clone.moves_to("192.0.2.5");
        tokio::time::timeout(Duration::from_millis(50), std::future::pending::<()>()).await.unwrap_err();
    }
    assert!(first.broker(0, |state| state.connected).await.error.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_sends_garbage_or_nothing_is_an_error_and_no_panic() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let site = Setup::at(&[plain(port)]).start("home");
    for answer in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], &[0x20, 0xff, 0xff, 0xff, 0xff], &[0xff; 4096], &[]] {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut connect = [0; 1024];
        let _ = stream.read(&mut connect).await;
        let _ = stream.write_all(answer).await;
        if answer.is_empty() {
            let silent = site.broker(0, |state| state.error.as_ref().is_some_and(|e| e.text.contains("imeout"))).await;
            assert!(!silent.connected);
        }
    }
    assert!(!site.broker(0, |state| state.error.is_some()).await.connected);
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_31_a_broker_that_ignores_the_packet_limit_is_asked_for_live_messages_only() {
    const CONNACK: [u8; 5] = [0x20, 3, 0, 0, 0];
    const OVERSIZED: [u8; 6] = [0x30, 0xc0, 0x84, 0x3d, 0, 1];
    /// QoS 1, retain as published, and no retained messages (MQTT 5 §3.8.3.1).
    const LIVE_ONLY: u8 = 0x01 | 0x08 | 0x20;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let site = Setup::at(&[plain(listener.local_addr().unwrap().port())]).start("home");
    let mut asked_with = Vec::new();
    for _ in 0..2 {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = Vec::new();
        stream.read_buf(&mut bytes).await.unwrap();
        stream.write_all(&CONNACK).await.unwrap();
        asked_with.push(broker::options_of_filter(&mut stream, b"/v1/all").await);
        let _ = stream.write_all(&OVERSIZED).await;
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    }
    assert_eq!(asked_with, [LIVE_ONLY & 0x0f, LIVE_ONLY]);
    assert!(site.broker(0, |state| state.error.is_some()).await.error.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_with_our_client_id_costs_back_off_and_then_the_id() {
    let Some(broker) = Mosquitto::open() else { return };
    let site = Setup::at(&[broker.address()]).start("home");
    let prefix = format!("{}-", site.keys.borrow().keys()[0].client_id_prefix());
    let mut ids = Vec::new();
    while ids.len() < 2 {
        let state = site.broker(0, |state| state.connected).await;
        ids = broker.client_ids(&prefix);
        let thief = Stranger::connect(broker.port, &ids[0]);
        if ids.len() == 1 {
            site.broker(0, |now| now.since != state.since || !now.connected).await;
        }
        drop(thief);
    }
    site.connected().await;
    assert!(ids[1].starts_with(&prefix));
}
