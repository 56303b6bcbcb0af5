//! Whether agents have what an object says, and whether its objects could be written.

use crate::scene::Scene;

fn app(name: &str, port: u16) -> String {
    format!(
        "kind: RemoteApp\nmetadata: {{name: {name}, namespace: shop, uid: {name}-uid, generation: 1, \
         creationTimestamp: 2026-01-01T00:00:00Z}}\n\
         spec: {{from: [{{siteName: office, appName: db}}], ports: [{{name: sql, port: 5432}}]}}\n\
         status: {{ports: [{{name: sql, listenerPort: {port}}}]}}\n"
    )
}

fn report(revision: u64) -> String {
    let listener =
        |port: u16| format!("{{localSocket: 'tcp:0.0.0.0:{port}', state: listening, providerState: available}}");
    format!(
        "{{revision: {revision}, ready: true, sites: [{{siteName: office, state: connected, channels: [{{}}], \
         apps: [{{appName: db, healthy: true}}]}}], listeners: [{}, {}]}}",
        listener(20_001),
        listener(20_002)
    )
}

fn with_agent(revision: u64) -> Scene {
    let mut scene = Scene::with_site(&app("db", 20_001));
    scene.agent("one", "10.0.0.1", Some(&report(revision)), 0);
    scene
}

#[test]
fn while_agents_are_told_of_one_app_the_others_and_the_site_stay_as_they_are() {
    let mut scene = with_agent(1);
    scene.add(&app("cache", 20_002));
    scene.tells("RemoteApp cache", "Programmed", "False", "Pending", &["being told"]);
    scene.tells("RemoteApp db", "Ready", "True", "Ready", &[]);
    scene.tells("Site home", "Programmed", "True", "Programmed", &[]);
}

#[test]
fn agents_that_have_a_higher_revision_than_is_known_get_one_above_it_and_not_again_and_again() {
    let mut scene = with_agent(7);
    let planned = |scene: &Scene| scene.look(|_, plans| plans[0].configuration.clone().unwrap());
    let raised = planned(&scene);
    assert_eq!(raised.revision, 8);
    scene.memory.configurations.insert("home".into(), raised);
    scene.memory.raised.insert("home".into());
    scene.known.agents.clear();
    scene.agent("one", "10.0.0.1", Some(&report(1_000)), 0);
    assert_eq!(planned(&scene).revision, 8, "an agent that lies makes no more work");
    scene.memory.raised.clear();
    assert_eq!(planned(&scene).revision, 1_001);
    scene.known.agents.clear();
    scene.agent("one", "10.0.0.1", Some(&report(u64::MAX)), 0);
    assert_eq!(planned(&scene).revision, 8, "what is no revision raises nothing");
}

#[test]
fn agents_that_fell_silent_are_told_even_when_all_did() {
    let mut scene = Scene::with_site(&app("db", 20_001));
    for node in ["one", "two"] {
        scene.agent(node, "10.0.0.1", Some(&report(1)), 60);
    }
    scene.tells("RemoteApp db", "Programmed", "False", "AgentsNotReady", &["does not answer"]);
    scene.tells("Site home", "Ready", "False", "AgentsNotReady", &[]);
    let endpoints: usize = scene.objects().slices.iter().map(|slice| slice.endpoints.len()).sum();
    assert_eq!(endpoints, 2, "clients are led to them as before: it may be this operator that hears nothing");
}

#[test]
fn what_could_not_be_written_is_not_told_to_work() {
    let mut scene = with_agent(1);
    scene.known.unwritten.insert("Service shop/db".into(), "forbidden by a quota".into());
    scene.tells("RemoteApp db", "Programmed", "False", "Pending", &["Service db", "forbidden by a quota"]);
    scene.known.unwritten.clear();
    scene.known.services.clear();
    scene.tells("RemoteApp db", "Programmed", "False", "Pending", &["Service db"]);
    let mut scene = with_agent(1);
    scene.known.unwritten.insert("DaemonSet wovenet-system/home-agent".into(), "no rights".into());
    scene.tells("Site home", "Programmed", "False", "Pending", &["DaemonSet home-agent", "no rights"]);
}

#[test]
fn a_listener_goes_after_the_slices_that_lead_to_it_and_its_port_to_nobody_before() {
    let mut scene = with_agent(1);
    scene.settle();
    scene.known.remote_apps.clear();
    let sockets = |scene: &Scene| {
        let apps = scene.document().remote_apps;
        apps.into_iter().filter_map(|app| app.local_socket).collect::<Vec<_>>()
    };
    assert_eq!(sockets(&scene), ["tcp:0.0.0.0:20001"], "slices still lead there");
    assert!(scene.objects().slices.is_empty(), "they are to go");
    scene.known.slices.clear();
    assert!(sockets(&scene).is_empty());
}
