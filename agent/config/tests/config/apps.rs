//! Exposed and remote apps: §4b.

use crate::support::{bad, good, has, warnings};
use wovenet_config::app::{AllowedSites, SiteReference, Target};
use wovenet_config::key::SiteId;

fn exposed(keys: &str) -> String {
    format!("localExposedApps: [{{appName: a, allowedSites: ['*'], {keys}}}]\n")
}

fn remote(keys: &str) -> String {
    format!("remoteApps: [{{siteName: away, appName: b, {keys}}}]\n")
}

#[test]
fn a_single_app_needs_a_socket_that_can_be_dialled() {
    for mode in ["", "mode: single, ", "mode: '', "] {
        let app = good(&exposed(&format!("{mode}appSocket: 'TCP:127.0.0.1:80'"))).exposed_apps.remove(0);
        assert_eq!(app.target, Target::Single("tcp:127.0.0.1:80".parse().expect("socket")));
        assert_eq!(app.connect_timeout.as_secs(), 10);
    }
    has(&bad(&exposed("mode: single")), &["appSocket: is required: tcp:IP:PORT or unix:PATH"]);
    has(&bad(&exposed("appSocket: 'tcp:127.0.0.1:0'")), &["has port 0, which cannot be dialled"]);
    has(&bad(&exposed("appSocket: 'udp:127.0.0.1:53'")), &["UDP apps are not yet available"]);
    has(&bad(&exposed("appSocket: 'tcp://127.0.0.1:53'")), &["must not have // after the scheme"]);
}

#[test]
fn app_modes_are_case_sensitive() {
    has(&bad(&exposed("mode: Range")), &["mode: \"Range\" is not supported; did you mean range? Valid: single, range"]);
}

#[test]
fn a_range_app_needs_ports_and_addresses_and_ignores_its_socket() {
    let app = good(&exposed(
        "mode: range, appSocket: nonsense, portRange: '5900-5990,80', addressRange: [10.0.2.1/24, '::1']",
    ));
    let Target::Range(range) = &app.exposed_apps[0].target else { panic!("no range") };
    assert_eq!(range.ports, [5900..=5990, 80..=80]);
    assert!(range.contains("10.0.2.9:5901".parse().expect("socket")));
    let text = bad(&exposed("mode: range"));
    has(&text, &["portRange: is required with mode range", "addressRange: is required with mode range"]);
    let text = bad(&exposed("mode: range, portRange: ['9-1', 'a'], addressRange: [10.0.0.1-10.0.0.9, 10.0.0.0/33]"));
    has(&text, &["portRange[0]: \"9-1\" has its first port after", "portRange[1]: \"a\" is no port range"]);
    has(&text, &["addressRange[0]: ", "write a block like", "addressRange[1]: ", "at most /32"]);
}

#[test]
fn an_app_may_have_several_named_ports() {
    let app = good(&exposed("ports: [{name: web, appSocket: 'tcp:10.0.0.1:80'}, {name: admin, appSocket: 'unix:/a'}]"));
    let Target::Ports(ports) = &app.exposed_apps[0].target else { panic!("no ports") };
    assert_eq!(ports[1].0.as_str(), "admin");
    let text = bad(&exposed("appSocket: 'unix:/a', ports: [{name: web, appSocket: 'unix:/a'}, {name: web}]"));
    has(
        &text,
        &[
            "appSocket: cannot go with ports",
            "ports[1].name: \"web\" is named twice",
            "ports[1].appSocket: is required",
        ],
    );
    has(&bad(&exposed("mode: range, ports: {name: web, appSocket: 'unix:/a'}")), &["ports: cannot go with mode range"]);
}

#[test]
fn app_names_are_required_and_unique_in_their_case() {
    let app = |name: &str| format!("- {{appName: {name}, appSocket: 'unix:/a', allowedSites: ['*']}}\n");
    assert_eq!(good(&format!("localExposedApps:\n{}{}", app("a"), app("A"))).exposed_apps.len(), 2);
    let text = bad(&format!("localExposedApps:\n{}{}{}", app("a"), app("a"), app("")));
    has(&text, &["config.yaml:6: error: localExposedApps[1].appName: \"a\" is also the name of localExposedApps[0]"]);
    has(&text, &["config.yaml:7: error: localExposedApps[2].appName: is required"]);
    has(&bad(&format!("localExposedApps:\n{}", app(&"x".repeat(256)))), &["is 256 bytes long, at most 255"]);
}

#[test]
fn apps_without_allowed_sites_share_one_warning_that_names_them() {
    let more = "localExposedApps:\n- {appName: a, appSocket: 'unix:/a'}\n- {appName: b, appSocket: 'unix:/b'}\n- {appName: c, appSocket: 'unix:/c', allowedSites: '*'}\n";
    let text = warnings(more);
    has(
        &text,
        &["config.yaml:4: warning: localExposedApps: every site of the mesh may use \"a\", \"b\": set allowedSites"],
    );
    assert_eq!(text.lines().count(), 1);
    assert!(good(more).exposed_apps.iter().all(|app| app.allowed_sites == AllowedSites::All));
}

#[test]
fn allowed_sites_are_names_or_ids() {
    let id = SiteId::from_hash(&[3; 32]);
    let app =
        |sites: &str| format!("localExposedApps: [{{appName: a, appSocket: 'unix:/a', allowedSites: {sites}}}]\n");
    let config = good(&app(&format!("[office, {id}]")));
    let expected = [SiteReference::Name("office".parse().expect("name")), SiteReference::Id(id)];
    assert_eq!(config.exposed_apps[0].allowed_sites, AllowedSites::Only(expected.into()));
    has(&bad(&app("[]")), &["allowedSites: is empty, so that no site could use the app"]);
    has(&bad(&app("['*', office]")), &["has \"*\" beside names"]);
    has(&bad(&app("[wvp1_abc]")), &["allowedSites[0]: is a public key"]);
    assert_eq!(warnings(&app("['*']")), "");
}

#[test]
fn limits_of_an_app_have_defaults_and_ranges() {
    let app = good(&exposed(
        "appSocket: 'unix:/a', maxConnections: 9, idleTimeout: 1h, connectTimeout: 3s, proxyProtocol: true",
    ));
    let app = &app.exposed_apps[0];
    assert_eq!((app.max_connections, app.proxy_protocol, app.connect_timeout.as_secs()), (Some(9), true, 3));
    assert_eq!(good(&exposed("appSocket: 'unix:/a', idleTimeout: 0")).exposed_apps[0].idle_timeout, None);
    let text = bad(&exposed("appSocket: 'unix:/a', maxConnections: 0, idleTimeout: 999d, connectTimeout: 1h"));
    has(
        &text,
        &[
            "maxConnections: 0 is out of range",
            "idleTimeout: \"999d\" is out of range",
            "connectTimeout: \"1h\" is out of range",
        ],
    );
}

#[test]
fn a_remote_app_needs_site_app_and_local_socket() {
    let app = good(&remote("localSocket: 'tcp:127.0.0.1:80'")).remote_apps.remove(0);
    assert_eq!((app.connect_timeout.as_secs(), app.max_connections, app.target), (5, 16_384, None));
    assert_eq!(app.max_connections_per_client, None);
    let text = bad(&remote("localSocket: 'tcp:127.0.0.1:80', maxConnectionsPerClient: 0"));
    has(&text, &["maxConnectionsPerClient: 0 is out of range"]);
    let text = bad("remoteApps: [{}]\n");
    has(
        &text,
        &[
            "remoteApps[0].siteName: is required",
            "remoteApps[0].appName: is required",
            "remoteApps[0].localSocket: is required",
        ],
    );
}

#[test]
fn a_remote_app_may_name_a_member_or_a_port() {
    let app = good(&remote("localSocket: 'unix:/a', appSocket: 'tcp:10.0.2.9:5901', port: web")).remote_apps.remove(0);
    assert_eq!(app.target, Some("tcp:10.0.2.9:5901".parse().expect("socket")));
    assert_eq!(app.port.map(|port| port.to_string()), Some("web".to_owned()));
    has(&bad(&remote("localSocket: 'unix:/a', appSocket: 'udp:10.0.2.9:1'")), &["UDP apps are not yet available"]);
    has(&bad(&remote("localSocket: 'unix:/a', appSocket: 'tcp:10.0.2.9:0'")), &["port 0"]);
    has(&bad(&remote("localSocket: 'udp:10.0.2.9:1'")), &["UDP apps are not yet available"]);
}

#[test]
fn port_0_is_a_random_local_port_with_a_warning() {
    let more = remote("localSocket: 'tcp:127.0.0.1:0'");
    has(
        &warnings(&more),
        &["remoteApps[0].localSocket: has port 0: the port is chosen at random and shown in the status"],
    );
}

#[test]
fn two_apps_on_one_local_socket_are_an_error_that_names_both() {
    let app = |name: &str, socket: &str| format!("- {{siteName: away, appName: {name}, localSocket: '{socket}'}}\n");
    let pair = |one: &str, two: &str| format!("remoteApps:\n{}{}", app("one", one), app("two", two));
    for (one, two) in
        [("tcp:127.0.0.1:80", "TCP:127.0.0.1:80"), ("unix:/a", "unix:/a"), ("tcp:0.0.0.0:80", "tcp:10.0.0.1:80")]
    {
        let text = bad(&pair(one, two));
        has(
            &text,
            &[
                "config.yaml:6: error: remoteApps[1].localSocket: ",
                "remoteApps[1] (\"two\") is already used by remoteApps[0] (\"one\")",
            ],
        );
    }
    for (one, two) in
        [("tcp:127.0.0.1:0", "tcp:127.0.0.1:0"), ("tcp:10.0.0.1:80", "tcp:10.0.0.2:80"), ("unix:/a", "unix:/b")]
    {
        assert_eq!(good(&pair(one, two)).remote_apps.len(), 2);
    }
    let text = bad(&format!("health: {{}}\nremoteApps:\n{}", app("one", "tcp:0.0.0.0:9090")));
    has(&text, &["is already used by health"]);
}

#[test]
fn a_remote_app_of_the_own_site_is_an_error() {
    let text = bad("remoteApps: [{siteName: home, appName: b, localSocket: 'unix:/a'}]\n");
    has(&text, &["remoteApps[0].siteName: \"home\" is this site itself"]);
}

#[test]
fn several_providers_have_priority_and_weight() {
    let app = good(
        "remoteApps: [{localSocket: 'unix:/a', providers: [{siteName: x, appName: b, priority: 1}, {siteName: y, appName: b, weight: 3}]}]\n",
    );
    let providers = &app.remote_apps[0].providers;
    assert_eq!((providers[0].priority, providers[0].weight, providers[1].weight), (1, 1, 3));
    let text = bad(
        "remoteApps: [{localSocket: 'unix:/a', siteName: x, providers: [{siteName: x, appName: b}, {siteName: x, appName: b, weight: 70000}, {siteName: x, appName: b}, {}]}]\n",
    );
    has(&text, &["providers: cannot go with siteName", "providers[1].weight: 70000 is out of range: 0 to 65535"]);
    has(&text, &["providers[2]: \"b\" of \"x\" is listed twice", "providers[3].siteName: is required"]);
}

#[test]
fn more_than_2048_apps_are_an_error() {
    let app = |n: usize| format!("- {{appName: a{n}, appSocket: 'unix:/a', allowedSites: ['*']}}\n");
    let list = |count: usize| format!("localExposedApps:\n{}", (0..count).map(app).collect::<String>());
    assert_eq!(good(&list(2048)).exposed_apps.len(), 2048);
    has(&bad(&list(2049)), &["config.yaml:4: error: localExposedApps: has 2049 entries, at most 2048 are allowed"]);
}
