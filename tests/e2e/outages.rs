//! The operator, the API server or agents go away: traffic goes on, and nothing is rewritten without a change.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use wovenet_tests::clusters::{self, Cluster, PATIENCE_MINUTE};
use wovenet_tests::until::until;

use crate::by_hand::cluster_address;
use crate::installed::{SYSTEM, Sites};
use crate::stage::Stage;

/// How long the API server is away.
const OUTAGE: Duration = Duration::from_secs(60);
/// How many new connections are made while agents are replaced.
const CONNECTIONS: u32 = 1_000;
/// The image that agents are rolled to.
const NEXT_IMAGE: &str = "localhost/wovenet-agent:next";
/// The pod that makes them.
const CONNECTING: &str = "connecting";

/// After so long without a write all is as it stays.
const QUIET: Duration = Duration::from_secs(5);

/// A leader that has heard all agents has written within this time what it would write.
const TIME_TO_WRITE: Duration = Duration::from_secs(10);

/// When the operators' Lease was last renewed.
fn renewals(cluster: &Cluster) -> Option<String> {
    let lease = cluster.get(SYSTEM, "lease/wovenet-operator").ok()?;
    lease.pointer("/spec/renewTime")?.as_str().map(str::to_owned)
}

/// Every object that the operator writes, with its version; but for known peers, as those of other tests come and go.
fn versions(cluster: &Cluster, stage: &Stage) -> String {
    let of_apps = "exposedapps.wovenet.io,remoteapps.wovenet.io,services,secrets,endpointslices";
    let of_system = "sites.wovenet.io,services,secrets";
    let mut all = String::new();
    // The status of a DaemonSet is its controller's.
    for (namespace, kinds, version) in [
        (stage.apps.as_str(), of_apps, "resourceVersion"),
        (SYSTEM, of_system, "resourceVersion"),
        (SYSTEM, "daemonsets", "generation"),
    ] {
        let columns = format!("custom-columns=K:.kind,N:.metadata.name,V:.metadata.{version}");
        all += &cluster.kubectl(&["-n", namespace, "get", kinds, "-o", &columns]).unwrap();
    }
    let stays = |line: &&str| !line.contains("-peers ");
    all.lines().filter(stays).collect::<Vec<_>>().join("\n")
}

/// The same, once nothing has been written for [`QUIET`]: agents of other nodes may still be joining.
fn settled(cluster: &Cluster, stage: &Stage) -> String {
    let mut last = (String::new(), Instant::now());
    let quiet = || {
        let now = versions(cluster, stage);
        if now != last.0 {
            last = (now, Instant::now());
        }
        (last.1.elapsed() > QUIET).then(|| last.0.clone())
    };
    until("nothing is written any more", PATIENCE_MINUTE, quiet).unwrap().0
}

/// FAULTS row 93.
#[test]
fn fault_93_an_operator_that_is_killed_stops_nothing_and_its_successor_rewrites_nothing() {
    let stage = Stage::new("operator").unwrap();
    let sites = Sites::new(&stage).unwrap();
    sites.serve_web().unwrap();
    let a = &stage.world.a;
    let before = settled(a, &stage);
    stage.hold().unwrap();
    let selector = ["-n", SYSTEM, "-l", "app.kubernetes.io/component=operator"];
    a.kubectl(&[&["delete", "pod", "--grace-period=0", "--force"], &selector[..]].concat()).unwrap();
    assert!(stage.page("web").unwrap().starts_with("web-"));
    let holder =
        || a.get(SYSTEM, "lease/wovenet-operator").ok()?.pointer("/spec/holderIdentity")?.as_str().map(str::to_owned);
    let running = || a.kubectl(&[&["get", "pods", "-o", "name"], &selector[..]].concat()).unwrap_or_default();
    let led = || holder().filter(|holder| !holder.is_empty() && running().contains(holder.as_str()));
    stage.steps.step("another operator leads", || until("it leads", PATIENCE_MINUTE, led)).unwrap();
    // It has heard all agents when a change arrives at them.
    sites.expose_web().unwrap();
    let start = Instant::now();
    until("it had time to write", PATIENCE_MINUTE, || (start.elapsed() > TIME_TO_WRITE).then_some(())).unwrap();
    assert_eq!(versions(a, &stage), before);
    assert_eq!(stage.held().unwrap(), None, "the connection from before goes on");
    assert!(stage.page("web").unwrap().starts_with("web-"));
}

/// FAULTS rows 94 and 95.
#[test]
fn fault_94_without_an_api_server_new_connections_work_and_nothing_is_rewritten_afterwards() {
    let stage = Stage::new("api-server").unwrap();
    let sites = Sites::new(&stage).unwrap();
    sites.serve_web().unwrap();
    let a = &stage.world.a;
    let web = cluster_address(a, &stage.apps, "web").unwrap();
    // Of a Site its conditions: it counts the pods that Kubernetes takes for ready, and that takes all nodes for lost.
    let objects = || {
        let all = versions(a, &stage);
        let objects: Vec<_> = all.lines().filter(|line| !line.starts_with("Site ")).map(str::to_owned).collect();
        let site = a.get(SYSTEM, &format!("site/{}", sites.name)).unwrap();
        (objects, site.pointer("/status/conditions").cloned())
    };
    settled(a, &stage);
    let before = objects();
    stage.hold().unwrap();
    let leases = renewals(a);
    a.stop("kube-apiserver").unwrap();
    let start = Instant::now();
    let (mut pages, mut failures) = (0, 0);
    while start.elapsed() < OUTAGE {
        match stage.page_at_node(&web) {
            Ok(_) => pages += 1,
            Err(_) => failures += 1,
        }
    }
    a.start("kube-apiserver").unwrap();
    a.api_serves().unwrap();
    println!("without an API server: {pages} pages, {failures} failures");
    assert!(pages > 100 && failures == 0, "{pages} pages, {failures} failures");
    // Pods reach the API server by kube-proxy, which looks for it late.
    a.recover().unwrap();
    let ready = || stage.page("web").ok();
    stage.steps.step("kubectl works again", || until("a page by kubectl", PATIENCE_MINUTE, ready)).unwrap();
    assert_eq!(stage.held().unwrap(), None, "the connection from before goes on");
    // An operator leads again, and had time to write.
    let led = || (renewals(a)? != leases.clone()?).then_some(());
    until("an operator leads again", PATIENCE_MINUTE, led).unwrap();
    let start = Instant::now();
    until("it had time to write", PATIENCE_MINUTE, || (start.elapsed() > TIME_TO_WRITE).then_some(())).unwrap();
    sites.ready().unwrap();
    assert_eq!(objects(), before);
}

/// FAULTS rows 109 and 110.
#[test]
fn fault_109_and_110_agents_are_replaced_without_a_failed_connection() {
    let stage = Stage::new("rolling").unwrap();
    let sites = Sites::new(&stage).unwrap();
    sites.serve_web().unwrap();
    let address = cluster_address(&stage.world.a, &stage.apps, "web").unwrap();
    stage.fresh_client(CONNECTING).unwrap();
    // There is one version so far: the same program under another name.
    clusters::tag("localhost/wovenet-agent:dev", NEXT_IMAGE).unwrap();
    for cluster in [&stage.world.a, &stage.world.b] {
        let (failed, took) = while_connecting(&stage, &address, || {
            let patch = format!(r#"{{"spec":{{"agents":{{"image":"{NEXT_IMAGE}"}}}}}}"#);
            let site = format!("site/{}", sites.name);
            cluster.kubectl(&["-n", SYSTEM, "patch", &site, "--type=merge", "-p", &patch])?;
            let generation = || {
                let set = cluster.get(SYSTEM, &sites.agents()).ok()?;
                (set.pointer("/spec/template/spec/containers/0/image")?.as_str()? == NEXT_IMAGE).then_some(())
            };
            until("the DaemonSet is another one", PATIENCE_MINUTE, generation)?;
            cluster.rolled_out(SYSTEM, &sites.agents())
        });
        println!("agents of {} rolled in {took:?}: failed connections: {failed:?}", cluster.name());
        assert!(failed.is_empty(), "cluster {}: {failed:?}", cluster.name());
    }
}

/// FAULTS row 109. The app and its client are on the other node, and the cluster's DNS moves: it is not asked.
#[test]
fn fault_109_a_node_is_drained_and_its_agent_ended_without_a_failed_connection() {
    let stage = Stage::new("drained").unwrap();
    let sites = Sites::new(&stage).unwrap();
    sites.serve_web().unwrap();
    let address = cluster_address(&stage.world.a, &stage.apps, "web").unwrap();
    stage.fresh_client(CONNECTING).unwrap();
    for cluster in [&stage.world.a, &stage.world.b] {
        let node = node_without(cluster, &stage.apps).unwrap();
        let (failed, took) = while_connecting(&stage, &address, || drain(cluster, &node, &sites));
        cluster.kubectl(&["uncordon", &node]).unwrap();
        println!("{node} drained in {took:?}: failed connections: {failed:?}");
        assert!(failed.is_empty(), "node {node}: {failed:?}");
        cluster.rolled_out(SYSTEM, &sites.agents()).unwrap();
    }
}

/// A node that no pod of the namespace is on.
fn node_without(cluster: &Cluster, namespace: &str) -> anyhow::Result<String> {
    let pods = cluster.list(namespace, "pods", "")?;
    let used: Vec<_> = pods.iter().filter_map(|pod| pod.pointer("/spec/nodeName")?.as_str()).collect();
    let nodes = cluster.kubectl(&["get", "nodes", "-o", "custom-columns=N:.metadata.name", "--no-headers"])?;
    let free = nodes.lines().map(str::trim).find(|node| !used.contains(node));
    free.map(str::to_owned).with_context(|| format!("{used:?} are all nodes"))
}

/// Drains a node, then ends its agent as the node's shutdown would: a drain leaves what DaemonSets made.
fn drain(cluster: &Cluster, node: &str, sites: &Sites<'_>) -> anyhow::Result<()> {
    let options = ["--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=90s"];
    cluster.kubectl(&[&["drain", node], &options[..]].concat())?;
    let agents = cluster.list(SYSTEM, "pods", &format!("wovenet.io/site={}", sites.name))?;
    let on_node = agents.iter().find(|pod| pod.pointer("/spec/nodeName").is_some_and(|name| name == node));
    let agent = on_node.and_then(|pod| pod.pointer("/metadata/name")?.as_str()).context("no agent on the node")?;
    cluster.kubectl(&["-n", SYSTEM, "delete", "pod", agent]).map(drop)
}

/// Makes new connections to an address, one after another and evenly, until `work` is done and enough were made. Returns
/// why each failed that did, and how long the work took.
fn while_connecting(
    stage: &Stage,
    address: &str,
    work: impl FnOnce() -> anyhow::Result<()>,
) -> (Vec<String>, Duration) {
    let in_client = |script: &str| stage.world.a.execute(&stage.apps, CONNECTING, &["sh", "-c", script]);
    in_client("rm -f /tmp/done").unwrap();
    thread::scope(|scope| {
        let connecting = scope.spawn(|| {
            in_client(&format!(
                "i=0; while [ $i -lt {CONNECTIONS} ] || [ ! -e /tmp/done ]; do \
                 probe http {address} 80 >/dev/null 2>/tmp/why || echo \"connection $i at $(date -u +%T): $(cat /tmp/why)\"; \
                 i=$((i+1)); usleep 15000; done"
            ))
        });
        let start = Instant::now();
        let worked = work();
        let took = start.elapsed();
        in_client("touch /tmp/done").unwrap();
        let failed = connecting.join().unwrap().unwrap().lines().map(str::to_owned).collect();
        worked.unwrap();
        (failed, took)
    })
}
