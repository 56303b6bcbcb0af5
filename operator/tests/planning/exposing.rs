//! How a Site is reached, as the agents announce it.

use crate::scene::{SITE, Scene};

fn site(expose: &str) -> String {
    SITE.replace("spec:\n", &format!("spec:\n  expose: [{expose}]\n"))
}

/// The Service of the Site's tunnel, as the operator made it.
fn service(spec: &str, status: &str) -> String {
    format!(
        "kind: Service
metadata:
  name: home-tunnel
  namespace: wovenet-system
  labels: {{app.kubernetes.io/managed-by: wovenet-operator, wovenet.io/site: home}}
  ownerReferences: [{{apiVersion: wovenet.io/v1alpha1, kind: Site, name: home, uid: site-uid, controller: true}}]
spec: {spec}
status: {status}
"
    )
}

const NODES: &str = "
kind: Node
metadata: {name: one}
status: {addresses: [{type: InternalIP, address: 192.168.1.10}, {type: ExternalIP, address: 203.0.113.7}]}
---
kind: Node
metadata: {name: two}
status: {addresses: [{type: InternalIP, address: 192.168.1.11}]}
";

#[test]
fn a_node_port_is_announced_at_the_address_of_each_node() {
    let service = service("{ports: [{port: 51820, nodePort: 30999}]}", "{}");
    let scene = Scene::of(&format!("{}---\n{NODES}---\n{service}", site("{type: NodePort}")));
    let socket = scene.document().tunnel.unwrap().local_sockets.pop().unwrap();
    assert_eq!(
        (socket.public_port, socket.listen_port, socket.scope.as_deref()),
        (Some(30_999), Some(51_820), Some("agent"))
    );
    let nodes: Vec<_> = socket
        .node_addresses
        .iter()
        .map(|node| (node.node_name.as_deref().unwrap(), node.address.as_deref().unwrap()))
        .collect();
    assert_eq!(nodes, [("one", "203.0.113.7"), ("two", "192.168.1.11")]);
}

#[test]
fn what_has_no_address_yet_is_not_announced_and_the_site_says_what_it_waits_for() {
    let mut scene = Scene::of(&site("{type: LoadBalancer}"));
    let revision = scene.look(|_, plans| plans[0].configuration.as_ref().unwrap().revision);
    scene.agent("one", "10.0.0.1", Some(&format!("{{revision: {revision}, ready: true}}")), 0);
    assert!(scene.document().tunnel.unwrap().local_sockets.is_empty());
    scene.tells("Site home", "Programmed", "False", "Pending", &["home-tunnel", "address"]);
    scene.add(&service("{ports: [{port: 51820}]}", "{loadBalancer: {ingress: [{ip: 203.0.113.9}]}}"));
    let socket = scene.document().tunnel.unwrap().local_sockets.pop().unwrap();
    assert_eq!((socket.public_address.as_deref(), socket.scope.as_deref()), (Some("203.0.113.9"), Some("site")));
}

#[test]
fn a_given_address_and_port_win_and_every_rendered_site_is_one_that_an_agent_takes() {
    for expose in [
        "{type: NodePort, publicAddress: 203.0.113.2, publicPort: 51820, nodePort: 30820}",
        "{type: HostPort}",
        "{type: HostNetwork, port: 4500, publicAddress: '2001:db8::7'}",
        "{type: HostPort, detect: {httpUrl: 'https://ip.example'}}",
        "{type: HostPort, detect: {stunServers: ['stun.example:3478']}}",
    ] {
        let scene = Scene::of(&format!("{}---\n{NODES}", site(expose)));
        let document = scene.document();
        assert_eq!(document.tunnel.as_ref().unwrap().local_sockets.len(), 1, "{expose}");
        let problems = wovenet_config::validate(&document).err();
        let errors: Vec<_> =
            problems.into_iter().flatten().filter(|problem| !problem.path.starts_with("crypto")).collect();
        assert!(
            errors.iter().all(|problem| problem.severity != wovenet_config::Severity::Error),
            "{expose}: {errors:?}"
        );
    }
}

#[test]
fn two_sites_of_one_cluster_cannot_share_a_port_of_their_nodes() {
    let other = site("{type: HostNetwork}")
        .replace("name: home", "name: other")
        .replace("site-uid", "other-uid")
        .replace("2026-01-01", "2026-01-05");
    let scene = Scene::of(&format!("{}---\n{other}", site("{type: HostPort}")));
    scene.tells("Site home", "Accepted", "True", "Accepted", &[]);
    scene.tells("Site other", "Accepted", "False", "PortConflict", &["home", "51820"]);
}

#[test]
fn two_sites_of_one_cluster_cannot_have_one_name_in_one_mesh() {
    let twin = |differs: &str, by: &str| {
        let named = SITE.replace("spec:\n", "spec:\n  siteName: home\n").replace("name: home, ", "name: twin, ");
        named.replace("site-uid", "twin-uid").replace("2026-01-01", "2026-01-05").replace(differs, by)
    };
    let scene = Scene::with_site(&twin("", ""));
    scene.tells("Site home", "Accepted", "True", "Accepted", &[]);
    scene.tells("Site twin", "Accepted", "False", "NameConflict", &["Site home", "siteName"]);
    for (key, of_another_mesh) in [("topic: t", "topic: u"), ("{name: mesh}", "{name: another}")] {
        let scene = Scene::with_site(&twin(key, of_another_mesh));
        scene.tells("Site twin", "Accepted", "True", "Accepted", &[]);
    }
}

#[test]
fn what_the_definitions_let_through_and_agents_would_refuse_makes_the_site_invalid_and_not_its_configuration() {
    for (expose, field) in [
        ("{type: HostPort, publicAddress: 0.0.0.0}", "publicAddress"),
        ("{type: HostPort, detect: {stunServers: ['stun.example:99999']}}", "servers"),
    ] {
        let mut scene = Scene::with_site("");
        scene.agent("one", "10.0.0.1", Some("{revision: 1, ready: true}"), 0);
        let before = scene.look(|_, plans| plans[0].configuration.clone());
        scene.known.sites.clear();
        scene.add(&site(expose));
        scene.tells("Site home", "Accepted", "False", "Invalid", &[field]);
        assert_eq!(scene.look(|_, plans| plans[0].configuration.clone()), before, "{expose}");
    }
}

#[test]
fn a_configuration_that_does_not_fit_into_a_secret_is_not_written_and_the_site_says_so() {
    let mut scene = Scene::with_site("");
    scene.agent("one", "10.0.0.1", Some("{revision: 1, ready: true}"), 0);
    let before = scene.look(|_, plans| plans[0].configuration.clone());
    let node = |number: u32| {
        let address = std::net::Ipv4Addr::from_bits(0x0a00_0000 + number);
        format!(
            "kind: Node\nmetadata: {{name: a-node-with-a-long-name-{number}}}\n\
             status: {{addresses: [{{type: InternalIP, address: {address}}}]}}\n"
        )
    };
    let nodes: Vec<_> = (1..=4_500).map(node).collect();
    scene.known.sites.clear();
    let ways: Vec<_> = (0..4).map(|way| format!("{{type: HostPort, port: {}}}", 4_500 + way)).collect();
    scene.add(&format!("{}---\n{}", site(&ways.join(", ")), nodes.join("---\n")));
    scene.tells("Site home", "Accepted", "True", "Accepted", &[]);
    scene.tells("Site home", "Programmed", "False", "Pending", &["bytes", "Secret"]);
    assert_eq!(scene.look(|_, plans| plans[0].configuration.clone()), before);
}

#[test]
fn without_any_address_of_a_node_nothing_is_announced_and_the_site_says_so() {
    let mut scene = Scene::with_site("");
    scene.agent("one", "10.0.0.1", Some("{revision: 1, ready: true}"), 0);
    scene.known.sites.clear();
    scene.add(&site("{type: HostPort}"));
    let revision = scene.look(|_, plans| plans[0].configuration.as_ref().unwrap().revision);
    assert!(scene.document().tunnel.unwrap().local_sockets.is_empty());
    scene.known.agents.clear();
    scene.agent("one", "10.0.0.1", Some(&format!("{{revision: {revision}, ready: true}}")), 0);
    scene.tells("Site home", "Programmed", "False", "Pending", &["node", "address"]);
}
