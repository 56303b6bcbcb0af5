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

#[test]
fn an_agent_that_refuses_its_configuration_is_told_with_its_reason() {
    let mut scene = with_agent(1);
    scene.add(&app("cache", 20_002));
    scene.known.heard.get_mut("one-uid").unwrap().refusal = Some("the agent answered 422: localSocket is odd".into());
    scene.tells("RemoteApp cache", "Programmed", "False", "Pending", &["node one", "localSocket is odd"]);
    scene.tells("RemoteApp db", "Ready", "True", "Ready", &[]);
}

#[test]
fn an_app_keeps_the_port_of_its_slices_when_every_other_record_is_lost() {
    let mut scene = with_agent(1);
    scene.settle();
    let app = scene.known.remote_apps.pop().unwrap();
    let mut without_status = (*app).clone();
    without_status.status = None;
    scene.known.remote_apps.push(without_status.into());
    assert_eq!(scene.document().remote_apps[0].local_socket.as_deref(), Some("tcp:0.0.0.0:20001"));
}

#[test]
fn an_app_without_a_free_port_keeps_what_it_has() {
    let mut scene = with_agent(1);
    scene.settle();
    scene.known.sites.clear();
    let narrowed = crate::scene::SITE.replace("spec:\n", "spec:\n  listenerPorts: {first: 20001, last: 20001}\n");
    scene.add(&narrowed);
    let one = scene.known.remote_apps.pop().unwrap();
    let mut with_two = (*one).clone();
    let mut second = with_two.spec.ports[0].clone();
    (second.name, second.port) = ("admin".into(), 5433);
    with_two.spec.ports.push(second);
    scene.known.remote_apps.push(with_two.into());
    scene.tells("RemoteApp db", "Programmed", "False", "PortsExhausted", &["listenerPorts"]);
    let ports = |scene: &Scene| {
        let service = scene.objects().services.pop().unwrap();
        service.spec.unwrap().ports.unwrap().into_iter().filter_map(|port| port.name).collect::<Vec<_>>()
    };
    assert_eq!(ports(&scene), ["sql"], "the port that has a listener goes on");
    // Another app has the only port of the next pool.
    scene.known.sites.clear();
    scene.add(&narrowed.replace("20001", "20009"));
    scene.add(&app("cache", 20_009));
    let unfinished = scene.look(|_, plans| plans[0].unfinished().map(str::to_owned).collect::<Vec<_>>());
    assert_eq!(unfinished, ["db-uid"], "what it has stays as it is");
}

#[test]
fn a_unix_socket_stays_while_a_remote_app_cannot_be_read() {
    let permits = crate::scene::SITE.replace("spec:\n", "spec:\n  permissions: {unixSocketDirectories: [/run/apps]}\n");
    let mut scene = Scene::of(&format!(
        "{permits}---\nkind: RemoteApp\nmetadata: {{name: db, namespace: shop, uid: db-uid}}\nspec: {{from: [{{siteName: \
         office, appName: db}}], ports: [{{name: sql, port: 5432}}], unixSocket: /run/apps/db.sock}}\n"
    ));
    scene.agent("one", "10.0.0.1", Some(&report(1)), 0);
    let app = scene.known.remote_apps.pop().unwrap();
    scene.known.unreadable.remote_apps.push(app.metadata.clone());
    let sockets = |scene: &Scene| scene.document().remote_apps.len();
    assert_eq!(sockets(&scene), 1);
    scene.known.unreadable.remote_apps.clear();
    assert_eq!(sockets(&scene), 0);
}
