//! Both sites installed as a person would do it without the operator: manifests only.

use anyhow::Context;
use serde_json::Value;
use wovenet_agent::peer::{Location, Store, mesh_key};
use wovenet_tests::clusters::{Cluster, fill};

use crate::stage::{Stage, manifest};
use crate::world::BROKER;

/// The agents' DaemonSet.
pub(crate) const AGENTS: &str = "daemonset/wovenet-agent";

/// Applies site b, which exposes the app `web`, and site a, which uses it, and waits until the agents are ready.
pub(crate) fn install(stage: &Stage) -> anyhow::Result<()> {
    let mesh_key = mesh_key::generate()?;
    let (a, b) = (&stage.world.a, &stage.world.b);
    let common = [("mesh_key", mesh_key.as_str()), ("broker", BROKER)];
    let (public_port, app_address) = (stage.public_port.to_string(), cluster_address(b, &stage.apps, "web")?);
    let of_b = [
        ("public_address", b.public_address()),
        ("public_port", public_port.as_str()),
        ("app_address", app_address.as_str()),
    ];
    apply_site(stage, b, "by-hand/exposing.yaml", &[&common[..], &of_b].concat())?;
    b.forward("udp", stage.public_port, node_port(b, &stage.system, "wovenet-tunnel")?)?;
    apply_site(stage, a, "by-hand/using.yaml", &common)?;
    b.rolled_out(&stage.system, AGENTS)?;
    a.rolled_out(&stage.system, AGENTS)
}

/// Gives the app a Service in a, by this name, whose endpoint is a's agent.
pub(crate) fn use_as(stage: &Stage, service: &str) -> anyhow::Result<()> {
    let a = &stage.world.a;
    let address = text(&agent(stage, a)?, "/status/podIP")?;
    a.apply(&stage.apps, &fill(&manifest("by-hand/remote.yaml"), &[("service", service), ("agent_address", &address)])?)
}

/// Returns the pod of a cluster's only agent.
pub(crate) fn agent(stage: &Stage, cluster: &Cluster) -> anyhow::Result<Value> {
    let agents = cluster.list(&stage.system, "pods", "app=wovenet-agent")?;
    agents.into_iter().next().context("no agent runs")
}

/// Returns the name of the pod of a cluster's only agent.
pub(crate) fn agent_name(stage: &Stage, cluster: &Cluster) -> anyhow::Result<String> {
    text(&agent(stage, cluster)?, "/metadata/name")
}

fn apply_site(stage: &Stage, cluster: &Cluster, site: &str, values: &[(&str, &str)]) -> anyhow::Result<()> {
    let site_key = site_key()?;
    let values = [values, &[("site_key", &site_key)]].concat();
    cluster.apply(&stage.system, &fill(&manifest(site), &values)?)?;
    cluster.apply(&stage.system, &fill(&manifest("by-hand/agent.yaml"), &[])?)
}

/// Makes a site key as an agent would.
fn site_key() -> anyhow::Result<String> {
    let directory = tempfile::tempdir()?;
    drop(Store::open(&Location::Directory(directory.path().to_owned()))?);
    Ok(std::fs::read_to_string(directory.path().join("site.key"))?)
}

/// Returns the address of a Service.
pub(crate) fn cluster_address(cluster: &Cluster, namespace: &str, service: &str) -> anyhow::Result<String> {
    text(&cluster.get(namespace, &format!("service/{service}"))?, "/spec/clusterIP")
}

fn node_port(cluster: &Cluster, namespace: &str, service: &str) -> anyhow::Result<u16> {
    let service = cluster.get(namespace, &format!("service/{service}"))?;
    let port = service.pointer("/spec/ports/0/nodePort").and_then(Value::as_u64).context("no node port")?;
    Ok(port.try_into()?)
}

fn text(object: &Value, at: &str) -> anyhow::Result<String> {
    let text = object.pointer(at).and_then(Value::as_str);
    text.map(str::to_owned).with_context(|| format!("nothing at {at} of {object}"))
}
