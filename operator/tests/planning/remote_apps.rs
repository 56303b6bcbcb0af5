//! Remote apps: their Services and what they clash with.

use kube::ResourceExt;

use crate::scene::{SITE, Scene};

fn app(name: &str, created: &str, spec: &str) -> String {
    format!(
        "kind: RemoteApp\nmetadata: {{name: {name}, namespace: shop, uid: {name}-uid, generation: 1, \
         creationTimestamp: {created}}}\nspec: {{from: [{{siteName: office, appName: db}}], \
         ports: [{{name: sql, port: 5432}}]{spec}}}\n"
    )
}

const NEW: &str = "2026-01-02T00:00:00Z";
const OLD: &str = "2026-01-01T00:00:00Z";

#[test]
fn a_remote_app_becomes_a_service_without_selector_and_a_listener_on_every_agent() {
    let scene = Scene::with_site(&app("db", NEW, ""));
    let service = scene.objects().services.pop().unwrap();
    let spec = service.spec.as_ref().unwrap();
    let port = &spec.ports.as_ref().unwrap()[0];
    assert_eq!((service.name_any().as_str(), spec.selector.is_none(), port.port), ("db", true, 5432));
    let listener = match port.target_port.clone().unwrap() {
        k8s_openapi::apimachinery::pkg::util::intstr::IntOrString::Int(number) => number,
        other => panic!("{other:?}"),
    };
    assert!((20_000..25_000).contains(&listener));
    let entry = scene.document().remote_apps.pop().unwrap();
    assert_eq!(entry.local_socket, Some(format!("tcp:0.0.0.0:{listener}")));
    assert_eq!(entry.port.as_deref(), Some("sql"));
}

/// What one tenant writes must never make the document of all invalid.
#[test]
fn fault_100_whatever_a_remote_app_says_the_document_of_the_site_stays_one_that_agents_take() {
    let provider = |providers: &str| app("odd", NEW, "").replace("{siteName: office, appName: db}", providers);
    for odd in [
        provider("{siteName: office, appName: db}, {siteName: home, appName: db}"),
        provider(&format!("{{siteName: {}, appName: db}}", "é".repeat(200))),
        app("odd", NEW, ", target: {ip: nowhere, port: 1}"),
        app("odd", NEW, ", limits: {idleTimeout: forever}"),
        provider("{siteName: office, appName: db}, {siteName: office, appName: db}"),
    ] {
        let scene = Scene::with_site(&format!("{odd}---\n{}", app("good", OLD, "")));
        scene.tells("RemoteApp odd", "Accepted", "False", "Invalid", &[]);
        scene.tells("RemoteApp good", "Accepted", "True", "Accepted", &[]);
        assert!(wovenet_config::validate(&scene.document()).is_ok(), "{odd}");
        assert_eq!(scene.document().remote_apps.len(), 1);
    }
}

#[test]
fn a_pool_that_holds_a_port_of_the_agents_themselves_is_refused() {
    let site = SITE.replace("spec:\n", "spec:\n  listenerPorts: {first: 9000, last: 9500}\n");
    Scene::of(&site).tells("Site home", "Accepted", "False", "Invalid", &["listenerPorts", "9443"]);
}

/// FAULTS row 101.
#[test]
fn fault_101_of_two_that_want_one_service_the_older_has_it_and_the_other_says_so() {
    let (old, new) = (app("old", OLD, ", service: {name: db}"), app("new", NEW, ", service: {name: db}"));
    let scene = Scene::with_site(&format!("{new}---\n{old}"));
    scene.tells("RemoteApp old", "Accepted", "True", "Accepted", &[]);
    scene.tells("RemoteApp new", "Accepted", "False", "NameConflict", &["shop/old", "db"]);
    Scene::with_site(&new).tells("RemoteApp new", "Accepted", "True", "Accepted", &[]);
}

/// FAULTS row 107.
#[test]
fn fault_107_a_service_of_that_name_that_is_not_ours_is_never_taken_over() {
    let foreign = "kind: Service\nmetadata: {name: db, namespace: shop}\nspec: {clusterIP: 10.96.0.7}\n";
    let scene = Scene::with_site(&format!("{}---\n{foreign}", app("db", NEW, "")));
    scene.tells("RemoteApp db", "Accepted", "False", "ServiceConflict", &["Service db"]);
    assert!(scene.objects().services.is_empty());
    let labelled =
        foreign.replace("namespace: shop", "namespace: shop, labels: {app.kubernetes.io/managed-by: wovenet-operator}");
    let scene = Scene::with_site(&format!("{}---\n{labelled}", app("db", NEW, "")));
    scene.tells("RemoteApp db", "Accepted", "False", "ServiceConflict", &[]);
}

#[test]
fn a_port_of_the_status_is_kept_and_a_pool_that_is_full_is_told() {
    let with_port = app("db", NEW, "") + "status: {ports: [{name: sql, listenerPort: 24321}]}\n";
    let scene = Scene::with_site(&with_port);
    assert_eq!(scene.document().remote_apps[0].local_socket.as_deref(), Some("tcp:0.0.0.0:24321"));
    let tiny = SITE.replace("spec:\n", "spec:\n  listenerPorts: {first: 20000, last: 20000}\n");
    let scene = Scene::of(&format!("{tiny}---\n{}---\n{}", app("one", OLD, ""), app("two", NEW, "")));
    scene.tells("RemoteApp two", "Programmed", "False", "PortsExhausted", &["listenerPorts"]);
    assert_eq!(scene.objects().services.len(), 1);
}

#[test]
fn a_unix_socket_needs_a_permitted_directory_and_has_one_owner() {
    let permits = SITE.replace("spec:\n", "spec:\n  permissions: {unixSocketDirectories: [/run/apps]}\n");
    let at = |name: &str, created: &str, path: &str| app(name, created, &format!(", unixSocket: {path}"));
    Scene::with_site(&at("db", NEW, "/run/apps/db.sock")).tells(
        "RemoteApp db",
        "Accepted",
        "False",
        "NotPermitted",
        &[],
    );
    let scene = Scene::of(&format!(
        "{permits}---\n{}---\n{}",
        at("one", OLD, "/run/apps/db.sock"),
        at("two", NEW, "/run/apps/db.sock")
    ));
    scene.tells("RemoteApp two", "Accepted", "False", "PortConflict", &["shop/one"]);
    assert_eq!(scene.document().remote_apps[0].local_socket.as_deref(), Some("unix:/run/apps/db.sock"));
    assert!(scene.objects().services.is_empty(), "without a service clients use the socket only");
}

#[test]
fn a_service_of_both_families_has_a_slice_for_each_with_the_agents_addresses_in_it() {
    let report =
        "{revision: 1, ready: true, sites: [{siteName: office, channels: [{}], apps: [{appName: db, healthy: true}]}],
      listeners: [{localSocket: 'tcp:0.0.0.0:20001', state: listening, providerState: available}]}";
    let mut scene = Scene::with_site(&(app("db", NEW, "") + "status: {ports: [{name: sql, listenerPort: 20001}]}\n"));
    scene.agent("one", "10.0.0.1", Some(report), 0);
    scene.add(
        "kind: Service
metadata:
  name: db
  namespace: shop
  labels: {app.kubernetes.io/managed-by: wovenet-operator}
  ownerReferences: [{apiVersion: wovenet.io/v1alpha1, kind: RemoteApp, name: db, uid: db-uid, controller: true}]
spec: {ipFamilies: [IPv4, IPv6]}
",
    );
    let mut pod = (*scene.known.agents.remove(0)).clone();
    let ips = pod.status.get_or_insert_default().pod_ips.get_or_insert_default();
    ips.push(k8s_openapi::api::core::v1::PodIP { ip: "2001:db8::1".to_owned() });
    scene.known.agents.push(pod.into());
    let slices = scene.objects().slices;
    let told: Vec<_> = slices
        .iter()
        .map(|slice| (slice.name_any(), slice.address_type.as_str(), slice.endpoints[0].addresses.clone()))
        .collect();
    assert_eq!(
        told,
        [
            ("db-wovenet-ipv4".to_owned(), "IPv4", vec!["10.0.0.1".to_owned()]),
            ("db-wovenet-ipv6".to_owned(), "IPv6", vec!["2001:db8::1".to_owned()]),
        ]
    );
}
