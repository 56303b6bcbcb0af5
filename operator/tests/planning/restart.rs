//! An operator that begins: nothing that stands is written again.

use k8s_openapi::api::discovery::v1::EndpointSlice;
use wovenet_operator::agent_report::Heard;

use crate::scene::Scene;

const APP: &str = "
kind: RemoteApp
metadata: {name: db, namespace: shop, uid: db-uid, generation: 1}
spec: {from: [{siteName: office, appName: db}], ports: [{name: sql, port: 5432}]}
status: {ports: [{name: sql, listenerPort: 20001}]}
";
const REPORT: &str =
    "{revision: 1, ready: true, sites: [{siteName: office, channels: [{}], apps: [{appName: db, healthy: true}]}],
  listeners: [{localSocket: 'tcp:0.0.0.0:20001', state: listening, providerState: available}]}";

/// FAULTS row 93.
#[test]
fn fault_93_an_agent_that_was_not_heard_yet_keeps_its_place_in_the_slices() {
    let mut scene = Scene::with_site(APP);
    scene.agent("one", "10.0.0.1", Some(REPORT), 0);
    scene.agent("two", "10.0.0.2", Some(REPORT), 0);
    let before: Vec<EndpointSlice> = scene.objects().slices;
    let (document, revision) = (scene.document(), scene.look(|_, plans| plans[0].configuration.clone()));
    // The next operator knows the objects, but has heard no agent.
    scene.settle();
    let secret = scene.objects().secrets.pop().unwrap();
    scene.known.secrets.insert("home-agent".into(), secret.into());
    scene.known.heard.clear();
    assert_eq!(scene.objects().slices, before);
    assert_eq!((scene.document(), scene.look(|_, plans| plans[0].configuration.clone())), (document, revision));
    assert!(scene.look(|_, plans| plans[0].is_waiting_for_agents()));
    // When all stay silent, it is rather the operator that hears nothing.
    let long_ago = scene.around.instant.checked_sub(std::time::Duration::from_secs(9)).unwrap();
    for node in ["one-uid", "two-uid"] {
        scene.known.heard.insert(node.into(), Heard::nothing(long_ago));
    }
    assert_eq!(scene.objects().slices, before);
    // One that stays silent while others are heard is taken out.
    scene.agent("one", "10.0.0.1", Some(REPORT), 0);
    scene.known.agents.retain(|pod| pod.metadata.name.as_deref() != Some("home-agent-one"));
    scene.agent("one", "10.0.0.1", Some(REPORT), 0);
    let listed: Vec<_> = scene.objects().slices.into_iter().flat_map(|slice| slice.endpoints).collect();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].addresses, ["10.0.0.1"]);
}
