//! What exposed apps may lead to.

use crate::scene::{SITE, Scene};

fn app(name: &str, created: &str, spec: &str) -> String {
    format!(
        "kind: ExposedApp\nmetadata: {{name: {name}, namespace: shop, uid: {name}-uid, generation: 1, \
         creationTimestamp: {created}}}\nspec: {{{spec}, allowedSites: [office]}}\n"
    )
}

fn service(spec: &str) -> String {
    format!(
        "kind: Service\nmetadata: {{name: web, namespace: shop}}\nspec: {{{spec}, ports: [{{name: http, port: 80}}]}}\n"
    )
}

fn slice(address: &str) -> String {
    format!(
        "kind: EndpointSlice\nmetadata: {{name: web-x, namespace: shop, labels: {{kubernetes.io/service-name: web}}}}\n\
         addressType: IPv4\nendpoints: [{{addresses: [{address}], targetRef: {{kind: Pod, name: web, namespace: shop}}}}]\n"
    )
}

const WEB: &str = "service: {name: web, ports: [http]}";
const NEW: &str = "2026-01-02T00:00:00Z";
const OLD: &str = "2026-01-01T00:00:00Z";

#[test]
fn a_service_or_port_that_does_not_exist_is_named() {
    let scene = Scene::with_site(&app("web", NEW, WEB));
    scene.tells("ExposedApp web", "ResolvedRefs", "False", "ServiceNotFound", &["web", "shop"]);
    let missing = app("web", NEW, "service: {name: web, ports: [grpc, 80]}");
    let scene = Scene::with_site(&format!("{missing}---\n{}", service("clusterIP: 10.96.0.7, selector: {app: web}")));
    scene.tells("ExposedApp web", "Ready", "False", "PortNotFound", &["grpc", "it has: http (80)"]);
    assert!(scene.document().local_exposed_apps.is_empty());
}

#[test]
fn several_ports_are_known_by_their_names_and_one_port_needs_none() {
    let both = app("web", NEW, "service: {name: web, ports: [http, 81]}");
    let two = "kind: Service\nmetadata: {name: web, namespace: shop}\nspec: {clusterIP: 10.96.0.7, selector: {a: b}, \
               ports: [{name: http, port: 80}, {name: admin, port: 81}]}\n";
    let apps = Scene::with_site(&format!("{both}---\n{two}")).document().local_exposed_apps;
    let ports: Vec<_> =
        apps[0].ports.iter().map(|port| (port.name.clone().unwrap(), port.app_socket.clone().unwrap())).collect();
    assert_eq!(ports, [("http".into(), "tcp:10.96.0.7:80".into()), ("admin".into(), "tcp:10.96.0.7:81".into())]);
}

/// FAULTS row 106.
#[test]
fn fault_106_a_service_that_leads_to_what_is_no_pod_of_its_namespace_needs_the_permission_of_the_site() {
    let own_pod = "kind: Pod\nmetadata: {name: web, namespace: shop, uid: p}\nspec: {containers: []}\nstatus: {podIPs: [{ip: 10.0.0.5}]}\n";
    let all = |address: &str, selector: &str| {
        let service = service(&format!("clusterIP: 10.96.0.7{selector}"));
        format!("{}---\n{service}---\n{}---\n{own_pod}", app("web", NEW, WEB), slice(address))
    };
    for selector in ["", ", selector: {app: web}"] {
        // Who writes the slices of a Service without selector chooses what it leads to, pod or not.
        let (status, reason) = if selector.is_empty() { ("False", "NotPermitted") } else { ("True", "Accepted") };
        Scene::with_site(&all("10.0.0.5", selector)).tells("ExposedApp web", "Accepted", status, reason, &[]);
        let refused = Scene::with_site(&all("192.168.1.10", selector));
        refused.tells("ExposedApp web", "Accepted", "False", "NotPermitted", &["Service web"]);
        assert!(refused.document().local_exposed_apps.is_empty());
        let told = &refused.conditions()["ExposedApp web"]["Accepted"].2;
        assert!(!told.contains("192.168.1.10"), "the address is not the tenant's to know: {told}");
        let permits = SITE.replace("spec:\n", "spec:\n  permissions: {addresses: [192.168.1.0/24]}\n");
        let scene = Scene::of(&format!("{permits}---\n{}", all("192.168.1.10", selector)));
        scene.tells("ExposedApp web", "Accepted", "True", "Accepted", &[]);
    }
}

#[test]
fn an_external_name_and_a_headless_service_are_refused_with_advice() {
    let external = service("type: ExternalName, externalName: kubernetes.default.svc");
    let scene = Scene::with_site(&format!("{}---\n{external}", app("web", NEW, WEB)));
    scene.tells("ExposedApp web", "Accepted", "False", "NotPermitted", &["ExternalName", "spec.address"]);
    let headless = service("clusterIP: None, selector: {app: web}");
    let scene = Scene::with_site(&format!("{}---\n{headless}", app("web", NEW, WEB)));
    scene.tells("ExposedApp web", "Accepted", "False", "Invalid", &["headless"]);
}

#[test]
fn addresses_ranges_and_sockets_are_what_the_site_permits_and_nothing_beyond() {
    let permits = SITE.replace(
        "spec:\n",
        "spec:\n  permissions: {addresses: [10.1.0.0/16, 'fd00::/8'], unixSocketDirectories: [/run/apps]}\n",
    );
    for (spec, permitted) in [
        ("address: {ip: 10.1.2.3, port: 80}", true),
        ("address: {ip: 10.2.0.1, port: 80}", false),
        ("address: {ip: 'fd00::1', port: 80}", true),
        ("range: {addresses: [10.1.4.0/24], ports: ['5900-5990', 22]}", true),
        ("range: {addresses: [10.1.4.0/24, 10.0.0.0/8], ports: [22]}", false),
        ("unixSocket: /run/apps/db/db.sock", true),
        ("unixSocket: /run/apps2/db.sock", false),
        ("unixSocket: /run/apps/../docker.sock", false),
    ] {
        let scene = Scene::of(&format!("{permits}---\n{}", app("it", NEW, spec)));
        let (status, reason) = if permitted { ("True", "Accepted") } else { ("False", "NotPermitted") };
        scene.tells("ExposedApp it", "Accepted", status, reason, &[]);
        assert_eq!(scene.document().local_exposed_apps.len(), usize::from(permitted), "{spec}");
    }
}

/// FAULTS row 105.
#[test]
fn fault_105_a_service_of_another_namespace_cannot_be_named_and_is_not_told_of() {
    let elsewhere = service("clusterIP: 10.96.0.7, selector: {app: web}").replace("namespace: shop", "namespace: bank");
    let scene = Scene::with_site(&format!("{}---\n{elsewhere}", app("web", NEW, WEB)));
    scene.tells("ExposedApp web", "ResolvedRefs", "False", "ServiceNotFound", &["shop"]);
    assert!(!scene.conditions()["ExposedApp web"]["ResolvedRefs"].2.contains("bank"));
}

#[test]
fn of_two_apps_of_one_name_the_older_one_has_it_and_the_other_follows_when_it_goes() {
    let web = service("clusterIP: 10.96.0.7, selector: {app: web}");
    let (old, new) =
        (app("old", OLD, &format!("appName: shared, {WEB}")), app("new", NEW, &format!("appName: shared, {WEB}")));
    let scene = Scene::with_site(&format!("{new}---\n{old}---\n{web}"));
    scene.tells("ExposedApp old", "Accepted", "True", "Accepted", &[]);
    scene.tells("ExposedApp new", "Accepted", "False", "NameConflict", &["shop/old", "shared"]);
    Scene::with_site(&format!("{new}---\n{web}")).tells("ExposedApp new", "Accepted", "True", "Accepted", &[]);
}

/// FAULTS row 100: what was stored before the rules were.
#[test]
fn fault_100_a_stored_app_that_is_invalid_is_told_so_and_hurts_no_other() {
    let good = app("good", OLD, WEB);
    let bad = app("bad", NEW, "service: {name: web, ports: [http]}, limits: {connectTimeout: soon}");
    let neither = app("neither", NEW, "proxyProtocol: true");
    let web = service("clusterIP: 10.96.0.7, selector: {app: web}");
    let scene = Scene::with_site(&format!("{good}---\n{bad}---\n{neither}---\n{web}"));
    scene.tells("ExposedApp bad", "Accepted", "False", "Invalid", &["connectTimeout"]);
    scene.tells("ExposedApp neither", "Accepted", "False", "Invalid", &["exactly one of"]);
    scene.tells("ExposedApp good", "Accepted", "True", "Accepted", &[]);
    let names: Vec<_> = scene.document().local_exposed_apps.into_iter().filter_map(|app| app.app_name).collect();
    assert_eq!(names, ["good"]);
}
