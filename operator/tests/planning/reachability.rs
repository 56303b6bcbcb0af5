//! Conditions and slices from what agents tell.

use kube::ResourceExt;

use crate::scene::Scene;

const APP: &str = "
kind: RemoteApp
metadata: {name: db, namespace: shop, uid: db-uid, generation: 3}
spec: {from: [{siteName: office, appName: db}], ports: [{name: sql, port: 5432}]}
status: {ports: [{name: sql, listenerPort: 20001}]}
";

fn report(sites: &str, listener: &str) -> String {
    format!(
        "{{revision: 1, ready: true, sites: [{sites}], listeners: [{{localSocket: 'tcp:0.0.0.0:20001', {listener}}}]}}"
    )
}

const LISTENING: &str = "state: listening, providerState: available";
const CONNECTED: &str =
    "{siteName: office, state: connected, channels: [{state: good}], apps: [{appName: db, healthy: true}]}";

fn endpoints(scene: &Scene) -> Vec<String> {
    let slices = scene.objects().slices;
    slices.iter().flat_map(|slice| &slice.endpoints).flat_map(|endpoint| endpoint.addresses.clone()).collect()
}

#[test]
fn a_remote_app_is_ready_when_every_agent_listens_and_a_provider_is_there() {
    let mut scene = Scene::with_site(APP);
    scene.agent("one", "10.0.0.1", Some(&report(CONNECTED, LISTENING)), 0);
    scene.tells("RemoteApp db", "Ready", "True", "Ready", &[]);
    assert_eq!(endpoints(&scene), ["10.0.0.1"]);
    let slice = scene.objects().slices.pop().unwrap();
    assert_eq!(slice.labels()["kubernetes.io/service-name"], "db");
    assert_eq!(slice.ports.unwrap()[0].port, Some(20_001));
}

#[test]
fn what_keeps_a_provider_from_being_used_is_told_and_the_agent_leaves_the_slices() {
    for (sites, listener, reason) in [
        ("", "state: listening, providerState: noPath", "SiteUnknown"),
        ("{siteName: office, state: connecting}", "state: listening, providerState: noPath", "NoPath"),
        ("{siteName: office, state: versionMismatch}", "state: listening, providerState: noPath", "VersionMismatch"),
        ("{siteName: office, channels: [{}]}", "state: listening, providerState: notExposed", "AppNotExposed"),
        (
            "{siteName: office, channels: [{}], apps: [{appName: db, healthy: false}]}",
            "state: listening, providerState: unhealthy",
            "AppUnhealthy",
        ),
        (
            "{siteName: office, channels: [{}], apps: [{appName: db, healthy: true, ports: [a, b]}]}",
            LISTENING,
            "PortMismatch",
        ),
        (
            "{siteName: office, channels: [{}], apps: [{appName: db, healthy: true, range: true}]}",
            LISTENING,
            "PortMismatch",
        ),
    ] {
        let mut scene = Scene::with_site(APP);
        scene.agent("one", "10.0.0.1", Some(&report(sites, listener)), 0);
        scene.tells("RemoteApp db", "Reachable", "False", reason, &["office"]);
        scene.tells("RemoteApp db", "Ready", "False", reason, &["office"]);
        let listed = !listener.contains("noPath") && !listener.contains("notExposed");
        assert_eq!(endpoints(&scene).len(), usize::from(listed), "{reason}");
    }
}

#[test]
fn one_provider_that_works_is_enough() {
    let two = APP.replace(
        "[{siteName: office, appName: db}]",
        "[{siteName: office, appName: db}, {siteName: lab, appName: db}]",
    );
    let mut scene = Scene::with_site(&two);
    scene.agent("one", "10.0.0.1", Some(&report(&CONNECTED.replace("office", "lab"), LISTENING)), 0);
    scene.tells("RemoteApp db", "Reachable", "True", "Reachable", &["lab"]);
}

#[test]
fn an_agent_that_lags_or_cannot_listen_is_named_by_its_node() {
    let mut scene = Scene::with_site(APP);
    let failed = report(CONNECTED, "state: failed, error: address in use, providerState: available");
    scene.agent("one", "10.0.0.1", Some(&report(CONNECTED, LISTENING)), 0);
    scene.agent("two", "10.0.0.2", Some(&failed), 0);
    scene.tells("RemoteApp db", "Programmed", "False", "ListenFailed", &["two", "address in use"]);
    assert_eq!(endpoints(&scene), ["10.0.0.1"]);
    let mut scene = Scene::with_site(APP);
    scene.agent("one", "10.0.0.1", None, 60);
    scene.tells("RemoteApp db", "Programmed", "False", "AgentsNotReady", &["one"]);
    Scene::with_site(APP).tells("RemoteApp db", "Programmed", "False", "AgentsNotReady", &["no pod", "DaemonSet"]);
    let mut scene = Scene::with_site(APP);
    scene.add(
        "kind: Pod\nmetadata: {name: home-agent-x, namespace: wovenet-system, labels: {wovenet.io/site: home}}\n\
         status: {containerStatuses: [{name: agent, image: x, imageID: '', ready: false, restartCount: 0, \
         state: {waiting: {reason: ErrImagePull}}}]}",
    );
    scene.tells("RemoteApp db", "Programmed", "False", "AgentsNotReady", &["the image of pod home-agent-x"]);
}

#[test]
fn a_silent_agent_leaves_the_slices_unless_most_are_silent() {
    let mut scene = Scene::with_site(APP);
    for (node, address, seconds) in [("one", "10.0.0.1", 0), ("two", "10.0.0.2", 3), ("three", "10.0.0.3", 9)] {
        scene.agent(node, address, Some(&report(CONNECTED, LISTENING)), seconds);
    }
    assert_eq!(endpoints(&scene), ["10.0.0.1", "10.0.0.2"]);
    scene.agent("four", "10.0.0.4", Some(&report(CONNECTED, LISTENING)), 9);
    scene.agent("five", "10.0.0.5", Some(&report(CONNECTED, LISTENING)), 9);
    assert_eq!(endpoints(&scene).len(), 5, "the operator doubts itself");
}

#[test]
fn a_broker_that_cannot_be_used_is_told_with_what_is_wrong() {
    for (broker, status, reason) in [
        ("{url: 'mqtts://b', connected: true}", "True", "Connected"),
        ("{url: 'mqtts://b', error: refused, errorClass: disconnected}", "False", "Disconnected"),
        ("{url: 'mqtts://b', error: 'bad certificate', errorClass: tls}", "False", "BrokerTLS"),
        ("{url: 'mqtts://b', error: 'bad password', errorClass: auth}", "False", "BrokerAuth"),
    ] {
        let mut scene = Scene::with_site("");
        scene.agent("one", "10.0.0.1", Some(&format!("{{revision: 1, brokers: [{broker}]}}")), 0);
        scene.tells("Site home", "BrokerConnected", status, reason, &[]);
        scene.tells("Site home", "Ready", "True", "Ready", &[]);
    }
}

/// After an outage of the API server the node controller takes every node for lost, until it has heard of them.
#[test]
fn an_agent_that_answers_is_ready_though_its_node_is_taken_for_lost() {
    let mut scene = Scene::with_site(APP);
    scene.agent("one", "10.0.0.1", Some(&report(CONNECTED, LISTENING)), 0);
    let mut pod = (*scene.known.agents.remove(0)).clone();
    pod.status.as_mut().unwrap().conditions.as_mut().unwrap()[0].status = "False".to_owned();
    scene.known.agents.push(pod.into());
    scene.tells("RemoteApp db", "Ready", "True", "Ready", &[]);
    scene.tells("Site home", "Ready", "True", "Ready", &[]);
    scene.known.heard.clear();
    assert!(scene.look(|_, plans| plans[0].is_waiting_for_agents()), "an operator that begins tells nothing yet");
}
