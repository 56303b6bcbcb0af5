//! Which Site an app attaches to, and who may.

use crate::scene::{SITE, Scene};

const APP: &str = "
kind: ExposedApp
metadata: {name: web, namespace: shop, uid: app-uid, generation: 1}
spec: {service: {name: web, ports: [http]}, allowedSites: [office]}
";
const SERVICE: &str = "
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.0.7, selector: {app: web}, ports: [{name: http, port: 80}]}
";

fn second_site() -> String {
    SITE.replace("name: home", "name: other").replace("site-uid", "other-uid")
}

#[test]
fn an_app_that_names_no_site_attaches_to_the_only_one() {
    let scene = Scene::with_site(&format!("{APP}---\n{SERVICE}"));
    scene.tells("ExposedApp web", "Accepted", "True", "Accepted", &[]);
    assert_eq!(scene.document().local_exposed_apps[0].app_socket.as_deref(), Some("tcp:10.96.0.7:80"));
}

#[test]
fn an_app_that_is_attached_stays_when_another_site_is_made_and_a_new_one_must_name_one() {
    let attached = format!("{APP}status: {{site: home}}\n");
    let new = APP.replace("name: web, namespace: shop, uid: app-uid", "name: new, namespace: shop, uid: new-uid");
    let scene = Scene::with_site(&format!("{}---\n{attached}---\n{new}---\n{SERVICE}", second_site()));
    scene.tells("ExposedApp web", "Accepted", "True", "Accepted", &[]);
    scene.tells("ExposedApp new", "Accepted", "False", "AmbiguousSite", &["spec.siteRef.name"]);
    let elsewhere = attached.replace("site: home", "site: gone");
    let scene = Scene::with_site(&format!("{}---\n{elsewhere}", second_site()));
    scene.tells("ExposedApp web", "Accepted", "False", "AmbiguousSite", &[]);
}

#[test]
fn with_several_sites_it_must_name_one_and_a_name_that_does_not_exist_is_told() {
    let scene = Scene::with_site(&format!("{}---\n{APP}", second_site()));
    scene.tells("ExposedApp web", "Accepted", "False", "AmbiguousSite", &["spec.siteRef.name"]);
    let named = APP.replace("spec: {", "spec: {siteRef: {name: nowhere}, ");
    let scene = Scene::with_site(&named);
    scene.tells("ExposedApp web", "Ready", "False", "SiteNotFound", &["nowhere", "wovenet-system"]);
    Scene::of(APP).tells("ExposedApp web", "Accepted", "False", "SiteNotFound", &["wovenet-system"]);
}

#[test]
fn a_namespace_attaches_only_where_the_site_allows_it() {
    let site = |allowed: &str| SITE.replace("{from: All}", allowed);
    let labelled = "---\nkind: Namespace\nmetadata: {name: shop, labels: {team: green}}\n";
    for (allowed, accepted) in [
        ("{from: Same}", false),
        ("{from: Selector, selector: {matchLabels: {team: green}}}", true),
        ("{from: Selector, selector: {matchLabels: {team: red}}}", false),
        ("{from: Selector, selector: {matchExpressions: [{key: team, operator: Exists}]}}", true),
    ] {
        let scene = Scene::of(&format!("{}---\n{APP}---\n{SERVICE}{labelled}", site(allowed)));
        let (status, reason) = if accepted { ("True", "Accepted") } else { ("False", "NamespaceNotAllowed") };
        scene.tells("ExposedApp web", "Accepted", status, reason, if accepted { &[] } else { &["allowedNamespaces"] });
        assert_eq!(scene.document().local_exposed_apps.len(), usize::from(accepted), "{allowed}");
    }
}
