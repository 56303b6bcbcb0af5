//! Sites behind NAT meet.

use std::time::Instant;

use wovenet_tests::netns::Lab;

use crate::measured;
use crate::pair::{ECHO, LOCAL, configuration};

#[test]
fn two_sites_behind_nats_with_the_same_inner_addresses_meet_through_a_forwarded_port() {
    let lab = Lab::new().unwrap();
    let (_broker_host, _broker) = lab.broker().unwrap();
    let key = wovenet_agent::peer::mesh_key::generate().unwrap();
    let first_gateway = lab.gateway("gateway1", &["203.0.113.10"], &["192.168.1.1/24"]).unwrap();
    let second_gateway = lab.gateway("gateway2", &["198.51.100.10"], &["192.168.1.1/24"]).unwrap();
    first_gateway.forward_udp(26726, "192.168.1.2:16875").unwrap();
    let first = first_gateway.host("first", &["192.168.1.2/24"]).unwrap();
    let second = second_gateway.host("second", &["192.168.1.2/24"]).unwrap();
    let _echoes = [&first, &second].map(|host| host.serve("echo", ECHO, &[]).unwrap());
    let tunnel = "tunnel: {localSockets: {mode: port-forwarding, transportProtocol: quic, \
                  publicAddress: 203.0.113.10, publicPort: 26726, listenPort: 16875}}";
    let start = Instant::now();
    let _first = first.run_agent(&configuration("first", "second", &key, "192.0.2.1", tunnel)).unwrap();
    let _second = second.run_agent(&configuration("second", "first", &key, "192.0.2.1", "")).unwrap();
    for host in [&first, &second] {
        let clients = host.peer(&["connect-loop", "--to", LOCAL]).unwrap();
        let served = |events: &[wovenet_tests::netns::Event]| events.iter().find(|e| e.outcome() == "ok").map(drop);
        clients.wait_until("a client is served", served).unwrap();
    }
    measured("two NATs, from the start of both agents to service in both directions", start.elapsed());
}
