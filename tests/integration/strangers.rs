//! People who hold no key, or the wrong one, and members who claim what is not theirs.

use std::net::UdpSocket;
use std::sync::{Arc, Mutex};

use rumqttc::mqttbytes::QoS;
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, PublishOptions};
use wovenet_tests::mesh::{Mesh, of_site};
use wovenet_tests::until::{PATIENCE, until};

use crate::apps;
use crate::clients::{ask, echoes, refused};

/// Someone at the broker, who sees every message and may send any.
struct Eavesdropper {
    client: AsyncClient,
    runtime: tokio::runtime::Runtime,
    heard: Arc<Mutex<Messages>>,
}

/// Topics and payloads.
type Messages = Vec<(String, Vec<u8>)>;

impl Eavesdropper {
    fn at(mesh: &Mesh) -> Self {
        let mut options = MqttOptions::new("eavesdropper", ("127.0.0.1", mesh.broker.as_ref().unwrap().port()));
        options.set_max_packet_size(Some(16 << 20));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (client, mut events) = AsyncClient::builder(options).capacity(1_000).build();
        let heard = Arc::new(Mutex::new(Messages::new()));
        let hearing = heard.clone();
        runtime.spawn(async move {
            while let Ok(event) = events.poll().await {
                if let Event::Incoming(Packet::Publish(publish)) = event {
                    let topic = String::from_utf8_lossy(&publish.topic).into_owned();
                    hearing.lock().unwrap().push((topic, publish.payload.to_vec()));
                }
            }
        });
        runtime.block_on(async {
            let subscribed = client.subscribe_tracked("#", QoS::AtLeastOnce).await.unwrap();
            tokio::time::timeout(PATIENCE, subscribed.wait_completion_async()).await.unwrap().unwrap();
        });
        Self { client, runtime, heard }
    }

    fn heard(&self) -> Messages {
        self.heard.lock().unwrap().clone()
    }

    fn publish(&self, topic: &str, payload: Vec<u8>) {
        self.runtime.block_on(async {
            let options = PublishOptions::at_least_once().retain(true);
            let sent = self.client.publish_tracked(topic, payload, options).await.unwrap();
            tokio::time::timeout(PATIENCE, sent.wait_completion_async()).await.unwrap().unwrap();
        });
    }
}

#[test]
fn b10_noise_on_the_tunnel_port_holds_up_no_new_site() {
    let mesh = Mesh::start().unwrap();
    let office = mesh.site("office").unwrap().listening().unwrap().exposes("echo", apps::echo());
    let office = mesh.run(office).unwrap();
    office.ready().unwrap();
    let noise = UdpSocket::bind("127.0.0.1:0").unwrap();
    noise.connect(("127.0.0.1", office.configuration.tunnel.unwrap())).unwrap();
    for first in [0x00, 0x40, 0xC3, 0xFF] {
        for length in [1, 21, 1_200, 1_400] {
            let mut datagram = vec![first; length];
            datagram.get_mut(1..5).map(|version| version.copy_from_slice(&[0, 0, 0, 1])).unwrap_or_default();
            noise.send(&datagram).unwrap();
        }
    }
    let home = mesh.run(mesh.site("home").unwrap().uses("office", "echo").unwrap()).unwrap();
    home.connected("office", 2).unwrap();
    echoes(home.local("office/echo"));
}

#[test]
fn b11_fault_1_a_stranger_who_names_a_site_gets_no_channel_and_no_users_data() {
    let mesh = Mesh::start().unwrap();
    let (port, served) = apps::accepted();
    let home = mesh.site("home").unwrap().listening().unwrap();
    let mut home = home.uses_with("office", "app", ", connectTimeout: 1s").unwrap();
    home.mqtt = "topic: one/topic".into();
    let home = mesh.run(home).unwrap();
    home.sees("the broker is there", |status| status["brokers"][0]["connected"] == true).unwrap();
    let mut stranger = mesh.site("office").unwrap().listening().unwrap().exposes("app", port);
    stranger.key = wovenet_agent::peer::mesh_key::generate().unwrap().as_str().to_owned();
    stranger.mqtt = "topic: one/topic".into();
    // It knows even where to dial and whom it must meet there.
    let key_of_home = home.public_key_of_running().unwrap();
    let stranger = stranger.knows("home", &key_of_home, home.configuration.tunnel.unwrap());
    let stranger = mesh.run(stranger).unwrap();
    stranger.sees("it is turned away", |status| of_site(status, "home")["error"].is_string()).unwrap();
    let mismatches = || {
        let labels = ["role=\"listener\"", "result=\"key_mismatch\""];
        home.metric("wovenet_agent_tunnel_connects_total", &labels).ok().filter(|count| *count >= 1.0)
    };
    until("the mismatch is counted", PATIENCE, mismatches).unwrap();
    refused(home.local("office/app"));
    assert!(of_site(&home.status().unwrap(), "office").is_null());
    assert!(served.try_recv().is_err());
}

#[test]
fn b20_a_second_site_of_one_name_is_refused_and_reported_and_gets_no_client() {
    let mesh = Mesh::start().unwrap();
    let office = mesh.site("office").unwrap().listening().unwrap().exposes("app", apps::answers(b"the first"));
    let _office = mesh.run(office.clone()).unwrap();
    let home = mesh.run(mesh.site("home").unwrap().listening().unwrap().uses("office", "app").unwrap()).unwrap();
    home.ready().unwrap();
    assert_eq!(ask(home.local("office/app"), b"who?").unwrap(), b"the first");
    let mut second = Mesh::without_broker().unwrap();
    second.key.clone_from(&mesh.key);
    let mut namesake = second.site("office").unwrap().listening().unwrap().exposes("app", apps::answers(b"second"));
    namesake.broker = office.broker;
    let _namesake = second.run(namesake).unwrap();
    let reported = |status: &serde_json::Value| {
        status["warnings"]
            .as_array()
            .is_some_and(|all| all.iter().any(|one| one.to_string().contains("claims the name")))
    };
    let status = home.sees("the conflict is reported", reported).unwrap();
    let states = status["sites"].as_array().unwrap().iter().map(|site| site["state"].as_str().unwrap_or_default());
    assert!(states.clone().any(|state| state == "nameConflict"), "{:?}", states.collect::<Vec<_>>());
    for _ in 0..20 {
        assert_eq!(ask(home.local("office/app"), b"who?").unwrap(), b"the first");
    }
}

#[test]
fn b23_b17_fault_6_the_broker_sees_no_key_and_old_announcements_sent_again_change_nothing() {
    let mesh = Mesh::start().unwrap();
    let eavesdropper = Eavesdropper::at(&mesh);
    let office = mesh.site("office").unwrap().listening().unwrap().exposes("secret-app", apps::echo());
    let mut office = mesh.run(office).unwrap();
    // It only dials: were both dialled, a late dial of a slot could replace a channel without any replay.
    let home = mesh.run(mesh.site("home").unwrap().uses("office", "secret-app").unwrap()).unwrap();
    home.ready().unwrap();
    let address = home.local("office/secret-app");
    echoes(address);
    let announcements = || Some(eavesdropper.heard()).filter(|heard| heard.len() >= 4);
    let (recorded, _) = until("announcements are seen", PATIENCE, announcements).unwrap();
    office.kill().unwrap();
    office.start().unwrap();
    echoes(address);
    let before = home.connected("office", 2).unwrap();

    for (topic, payload) in recorded.iter().cycle().take(recorded.len() * 3) {
        eavesdropper.publish(topic, payload.clone());
    }
    let replays = || {
        let count = |reason: &str| {
            home.metric("wovenet_agent_discovery_messages_dropped_total", &[&format!("reason=\"{reason}\"")])
        };
        Some(count("replay").ok()? + count("old").ok()?).filter(|count| *count >= 1.0)
    };
    until("replays are counted", PATIENCE, replays).unwrap();
    let after = home.connected("office", 2).unwrap();
    let ids = |site: &serde_json::Value| [site["channels"][0]["id"].clone(), site["channels"][1]["id"].clone()];
    assert_eq!(ids(&before), ids(&after));
    assert_eq!(ask(address, b"unharmed").unwrap(), b"unharmed");

    let body = mesh.key.trim_start_matches("wvk1_").to_owned();
    let words = [mesh.key.as_str(), &body, "office", "home", "secret-app", "127.0.0.1"];
    for (topic, payload) in eavesdropper.heard() {
        let text = String::from_utf8_lossy(&payload).into_owned();
        for word in words {
            assert!(!topic.contains(word) && !text.contains(word), "{word} is told in {topic}");
        }
        assert!(topic.starts_with("wovenet/"), "{topic}");
    }
}
