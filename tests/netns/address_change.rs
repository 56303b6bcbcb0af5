//! A site's public address changes.

use std::time::{Duration, Instant};

use wovenet_tests::agent::Agent;
use wovenet_tests::broker::Broker;
use wovenet_tests::log;
use wovenet_tests::netns::{Gateway, Host, Lab, TestPeer};

use crate::pair::{ECHO, LOCAL, Site, configuration, listening};
use crate::service::follow;
use crate::{measured, now_ms};

/// FAULTS 48; the round trip of this network is nothing.
const ANNOUNCED_WITHIN: Duration = Duration::from_secs(10);
const BACK_WITHIN: Duration = Duration::from_secs(15);
const ANNOUNCES: &str = "this agent's addresses changed";

/// A site behind a gateway that forwards a port to it, and a site that uses its echo.
struct Moving {
    moving: Site,
    user: Site,
    gateway: Gateway,
    broker: Broker,
    _broker_host: Host,
    _detector: TestPeer,
    _detector_host: Host,
    _lab: Lab,
}

impl Moving {
    fn start(user_tunnel: &str) -> anyhow::Result<Self> {
        let lab = Lab::new()?;
        let (broker_host, broker) = lab.broker()?;
        let detector_host = lab.public_host("detector", &["192.0.2.2"])?;
        let detector = detector_host.serve("web", "tcp:192.0.2.2:80", &["--page", "{client}"])?;
        let gateway = lab.gateway("gateway", &["203.0.113.10"], &["192.168.1.1/24"])?;
        gateway.forward_udp(26726, "192.168.1.2:16875")?;
        let key = wovenet_agent::peer::mesh_key::generate()?;
        let tunnel = "tunnel: {localSockets: {mode: port-forwarding, transportProtocol: quic, publicAddress: \
                      autoHttpDetect, publicPort: 26726, listenPort: 16875, httpDetector: {url: \"http://192.0.2.2/\"}}}";
        let moving = gateway.host("moving", &["192.168.1.2/24"])?;
        let moving = site(moving, "user", &key, tunnel)?;
        let user = lab.public_host("user", &["198.51.100.1"])?;
        let user = site(user, "moving", &key, user_tunnel)?;
        user.wait_working()?;
        Ok(Self {
            moving,
            user,
            gateway,
            broker,
            _broker_host: broker_host,
            _detector: detector,
            _detector_host: detector_host,
            _lab: lab,
        })
    }
}

fn site(host: Host, other: &str, key: &str, tunnel: &str) -> anyhow::Result<Site> {
    let name = host.directory().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let agent: Agent = host.agent(&configuration(&name, other, key, "192.0.2.1", tunnel))?;
    let echo = host.serve("echo", ECHO, &[])?;
    let mut site = Site { agent, echo, host };
    site.start()?;
    Ok(site)
}

#[test]
fn fault_48_the_public_address_of_a_listening_site_changes() {
    let moving = Moving::start("").unwrap();
    let clients = moving.user.host.peer(&["connect-loop", "--to", LOCAL, "--every-ms", "100"]).unwrap();
    let (from, began, start) = (log::length(&moving.moving.agent), now_ms(), Instant::now());
    moving.gateway.change_address("203.0.113.10", "203.0.113.11").unwrap();
    let announces = |line: &log::Line| line.field("endpoints").contains("203.0.113.11");
    log::wait_for(&moving.moving.agent, from, ANNOUNCES, announces).unwrap();
    let announced = start.elapsed();
    let service = follow(&clients, began, Duration::from_secs(2)).unwrap();
    measured("48 address changed: known after", announced);
    measured("48 address changed: new connections", &service);
    assert!(announced <= ANNOUNCED_WITHIN, "{announced:?}");
    assert!(service.back_after <= BACK_WITHIN, "{service:?}");
}

#[test]
fn fault_48_the_public_address_changes_while_the_broker_is_down() {
    let mut moving = Moving::start(&listening(&["198.51.100.1"])).unwrap();
    moving.broker.kill().unwrap();
    let clients = moving.user.host.peer(&["connect-loop", "--to", LOCAL, "--every-ms", "100"]).unwrap();
    clients.wait_for("tried").unwrap();
    let began = now_ms();
    moving.gateway.change_address("203.0.113.10", "203.0.113.11").unwrap();
    let service = follow(&clients, began, Duration::from_secs(2)).unwrap();
    measured("48 address changed without a broker: new connections", &service);
    assert!(service.back_after <= BACK_WITHIN, "{service:?}");
}
