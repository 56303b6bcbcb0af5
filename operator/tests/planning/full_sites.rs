//! What the apps of one Site may take: one tenant's must not make the document of all invalid.

use crate::scene::Scene;

fn ports(count: usize) -> String {
    (1..=count).map(|port| format!("{{name: p{port}, port: {port}}}")).collect::<Vec<_>>().join(", ")
}

/// Apps `a00`, `a01`, … in the order of their age.
fn remote_apps(count: usize, ports: &str) -> String {
    let app = |number: usize| {
        format!(
            "kind: RemoteApp\nmetadata: {{name: a{number:02}, namespace: shop, uid: u{number}, \
             creationTimestamp: 2026-01-01T00:{:02}:{:02}Z}}\n\
             spec: {{from: [{{siteName: office, appName: db}}], ports: [{ports}]}}\n",
            number / 60,
            number % 60
        )
    };
    (0..count).map(app).collect::<Vec<_>>().join("---\n")
}

#[test]
fn remote_apps_that_need_more_local_sockets_than_agents_take_are_refused_by_age() {
    let scene = Scene::with_site(&remote_apps(33, &ports(64)));
    scene.tells("RemoteApp a31", "Accepted", "True", "Accepted", &[]);
    scene.tells("RemoteApp a32", "Accepted", "False", "SiteFull", &["home", "2048 ports"]);
    let document = scene.document();
    assert_eq!(document.remote_apps.len(), 2_048);
    assert!(wovenet_config::validate(&document).is_ok());
}

#[test]
fn apps_whose_text_does_not_fit_into_a_secret_are_refused_by_age() {
    let sites: Vec<String> = (0..256).map(|number| format!("{}{number}", "s".repeat(50))).collect();
    let app = |number: usize| {
        format!(
            "kind: ExposedApp\nmetadata: {{name: a{number:02}, namespace: shop, uid: u{number}, \
             creationTimestamp: 2026-01-01T00:{:02}:{:02}Z}}\nspec: {{service: {{name: web, ports: [80]}}, allowedSites: [{}]}}\n",
            number / 60,
            number % 60,
            sites.join(", ")
        )
    };
    let web = "kind: Service\nmetadata: {name: web, namespace: shop}\nspec: {clusterIP: 10.96.0.7, selector: {a: b}, ports: [{port: 80}]}\n";
    let apps: Vec<String> = (0..80).map(app).collect();
    let scene = Scene::with_site(&format!("{}---\n{web}", apps.join("---\n")));
    let kept = scene.document().local_exposed_apps.len();
    assert!((40..80).contains(&kept), "{kept}");
    scene.tells(&format!("ExposedApp a{:02}", kept - 1), "Accepted", "True", "Accepted", &[]);
    scene.tells(&format!("ExposedApp a{kept:02}"), "Accepted", "False", "SiteFull", &["home", "bytes"]);
    let secret = scene.objects().secrets.pop().unwrap();
    let bytes: usize = secret.data.unwrap().values().map(|field| field.0.len()).sum();
    assert!(bytes < 1 << 20, "{bytes}");
}
