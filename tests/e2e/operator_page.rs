//! From nothing to a page of the other cluster by Service name, with the operator, in every way that one side is reached.

use std::time::Duration;

use wovenet_identity::SiteKey;
use wovenet_tests::clusters::Cluster;

use crate::installed::{SYSTEM, Sites, admits, installed};
use crate::stage::Stage;

/// From the RemoteApp to the first page.
const FIRST_PAGE_WITHIN: Duration = Duration::from_secs(10);

#[test]
fn from_nothing_a_pod_gets_a_page_of_the_other_cluster_by_service_name() {
    let stage = Stage::new("nodeport").unwrap();
    installed().unwrap();
    let sites = Sites::new(&stage).unwrap();
    let steps = &stage.steps;
    steps.step("the app runs in b, a client in a", || stage.web_and_client()).unwrap();
    steps
        .step("Site in both clusters, ExposedApp in b", || {
            sites.join()?;
            sites.expose_web()
        })
        .unwrap();
    let used = || {
        sites.use_web()?;
        stage.first_page("web")
    };
    let (page, took) = steps.step("RemoteApp in a → first page", used).unwrap();
    assert!(page.starts_with("web-"), "{page}");
    assert!(took <= FIRST_PAGE_WITHIN, "{took:?}");
    steps.step("every condition Ready is true", || sites.ready()).unwrap();
    steps.step("b's pods cannot be reached from a", || stage.is_cut_off()).unwrap();
}

#[test]
fn a_site_is_reached_by_its_load_balancer() {
    let stage = Stage::new("balancer").unwrap();
    let sites = Sites::new(&stage).unwrap();
    let (a, b) = (&stage.world.a, &stage.world.b);
    stage.web_and_client().unwrap();
    sites.site(b, &format!("expose: [{{type: LoadBalancer, port: {}}}]", stage.public_port)).unwrap();
    sites.site(a, "").unwrap();
    let service = format!("{}-tunnel", sites.name);
    b.wait(SYSTEM, &format!("service/{service}"), "create").unwrap();
    b.balance(SYSTEM, &service).unwrap();
    sites.expose_web().unwrap();
    sites.use_web().unwrap();
    let (page, _) = stage.steps.step("first page by LoadBalancer", || stage.first_page("web")).unwrap();
    assert!(page.starts_with("web-"), "{page}");
    sites.ready().unwrap();
}

#[test]
fn a_site_is_reached_by_a_port_of_its_nodes() {
    let stage = Stage::new("hostport").unwrap();
    let sites = Sites::new(&stage).unwrap();
    let (a, b, port) = (&stage.world.a, &stage.world.b, stage.public_port);
    // Ports of nodes are beyond the restricted profile.
    admits(b, "privileged").unwrap();
    stage.web_and_client().unwrap();
    let address = b.public_address();
    sites.site(b, &format!("expose: [{{type: HostPort, port: {port}, publicAddress: {address}}}]")).unwrap();
    b.forward("udp", port, port).unwrap();
    sites.site(a, "").unwrap();
    sites.expose_web().unwrap();
    sites.use_web().unwrap();
    let first = stage.steps.step("first page by HostPort", || stage.first_page("web"));
    admits(b, "restricted").unwrap();
    let (page, _) = first.unwrap();
    assert!(page.starts_with("web-"), "{page}");
}

#[test]
fn two_sites_that_know_each_others_keys_need_no_broker() {
    let stage = Stage::new("peers").unwrap();
    let sites = Sites::new(&stage).unwrap();
    let (a, b, port) = (&stage.world.a, &stage.world.b, stage.public_port);
    stage.web_and_client().unwrap();
    // A site key that is there before its Site is kept, as after a restore.
    let [of_a, of_b] = [a, b].map(|cluster| restore_key(&sites, cluster).unwrap());
    let (address, [name_a, name_b]) = (b.public_address(), [a, b].map(|cluster| sites.site_name(cluster)));
    let expose = format!("expose: [{{type: NodePort, publicAddress: {address}, publicPort: {port}}}]");
    let peers = format!("peers: [{{siteName: {name_a}, publicKey: {}}}]\n  trust: Pinned", of_a.public());
    sites.site_without_broker(b, &format!("{expose}\n  {peers}")).unwrap();
    sites.forward_node_port().unwrap();
    let peers = format!(
        "peers: [{{siteName: {name_b}, publicKey: {}, addresses: ['{address}:{port}']}}]\n  trust: Pinned",
        of_b.public()
    );
    sites.site_without_broker(a, &peers).unwrap();
    sites.expose_web().unwrap();
    sites.use_web().unwrap();
    let (page, _) = stage.steps.step("first page without a broker", || stage.first_page("web")).unwrap();
    assert!(page.starts_with("web-"), "{page}");
    let site = a.get(SYSTEM, &format!("site/{}", sites.name)).unwrap();
    assert_eq!(
        site.pointer("/status/publicKey").and_then(|key| key.as_str()),
        Some(of_a.public().to_string().as_str())
    );
}

fn restore_key(sites: &Sites<'_>, cluster: &Cluster) -> anyhow::Result<SiteKey> {
    let key = SiteKey::generate()?;
    let (secret, literal) = (format!("{}-identity", sites.name), format!("--from-literal=site.key={}", *key.to_pem()));
    cluster.kubectl(&["-n", SYSTEM, "create", "secret", "generic", &secret, &literal])?;
    Ok(key)
}
