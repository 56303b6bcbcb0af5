//! A cluster with one Site, one node and one agent, and operators that run on it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wovenet_config::key::encode_key;
use wovenet_identity::SiteKey;
use wovenet_operator::cli::{LogFormat, RunArguments};
use wovenet_operator::metrics::Metrics;
use wovenet_operator::operator::run_with;

use crate::agent::FakeAgent;
use crate::api_server::{ApiServer, Write};

/// Longer than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// After so long without a write all is as it stays: longer than the operator's own pauses between looks.
const QUIET: Duration = Duration::from_secs(3);
/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
pub(crate) const SYSTEM: &str = "wovenet-system";
pub(crate) const APPS: &str = "shop";

pub(crate) struct Scene {
    pub(crate) server: ApiServer,
    pub(crate) agent: FakeAgent,
    key: SiteKey,
}

/// An operator that runs until it is dropped.
pub(crate) struct Operator {
    pub(crate) door: usize,
    pub(crate) health: SocketAddr,
    pub(crate) task: JoinHandle<anyhow::Result<()>>,
    stop: CancellationToken,
}

impl Scene {
    /// A Site `home` with an agent that runs, and no app.
    pub(crate) async fn new() -> Self {
        let key = SiteKey::generate().unwrap();
        Self::with_keys(&key, &key).await
    }

    /// The same, with a key of the site and one that its agent has.
    pub(crate) async fn with_keys(key: &SiteKey, of_agent: &SiteKey) -> Self {
        let agent = FakeAgent::start(of_agent).await;
        let scene = Self { server: ApiServer::new(), agent, key: key.clone() };
        let server = &scene.server;
        server.put("namespaces", json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": APPS}}));
        scene.secret("mesh", "primary", &encode_key("wvk1_", &[7; 32]));
        scene.secret("home-identity", "site.key", &key.to_pem());
        server.put(
            "sites",
            json!({
                "apiVersion": "wovenet.io/v1alpha1", "kind": "Site",
                "metadata": {"name": "home", "namespace": SYSTEM},
                "spec": {
                    "keySecretRef": {"name": "mesh"}, "allowedNamespaces": {"from": "All"},
                    "messageChannel": {"mqtt": {"brokers": ["mqtts://broker.example"], "topic": "t"}},
                },
            }),
        );
        scene.node("one", &scene.agent);
        scene
    }

    /// Adds a node on which an agent runs.
    fn node(&self, name: &str, agent: &FakeAgent) {
        self.server.put("nodes", json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}));
        self.server.put(
            "pods",
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {
                    "name": format!("home-agent-{name}"), "namespace": SYSTEM,
                    "labels": {"app.kubernetes.io/name": "wovenet-agent", "wovenet.io/site": "home"},
                },
                "spec": {"nodeName": name, "containers": []},
                "status": {
                    "podIPs": [{"ip": agent.address.to_string()}],
                    "conditions": [{"type": "Ready", "status": "True"}],
                },
            }),
        );
    }

    /// Starts another agent of the Site, on a node of its own.
    pub(crate) async fn another_agent(&self) -> FakeAgent {
        let agent = FakeAgent::start(&self.key).await;
        self.node("two", &agent);
        agent
    }

    /// The addresses that the slice of an app lists.
    pub(crate) fn listed(&self, app: &str) -> Vec<String> {
        let slice = self.server.get("endpointslices", APPS, &format!("{app}-wovenet-ipv4")).unwrap_or_default();
        let endpoints = slice["endpoints"].as_array().cloned().unwrap_or_default();
        let mut all: Vec<String> =
            endpoints.iter().filter_map(|one| Some(one.pointer("/addresses/0")?.as_str()?.to_owned())).collect();
        all.sort();
        all
    }

    /// Puts a Secret of the operator's namespace.
    pub(crate) fn secret(&self, name: &str, field: &str, text: &str) {
        let data = json!({ field: BASE64.encode(text.as_bytes()) });
        let metadata = json!({"name": name, "namespace": SYSTEM});
        self.server.put("secrets", json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}));
    }

    /// Applies a RemoteApp with one port, as a person would: its status stays.
    pub(crate) fn uses(&self, name: &str, port: u16) {
        let before = self.server.get("remoteapps", APPS, name);
        self.server.put(
            "remoteapps",
            json!({
                "apiVersion": "wovenet.io/v1alpha1", "kind": "RemoteApp",
                "metadata": {"name": name, "namespace": APPS},
                "spec": {"from": [{"siteName": "office", "appName": "db"}], "ports": [{"name": "sql", "port": port}]},
                "status": before.map(|before| before["status"].clone()),
            }),
        );
    }

    /// Exposes port 80 of the Service `web` as an app.
    pub(crate) fn exposes_web(&self, namespace: &str) {
        self.server.put(
            "exposedapps",
            json!({
                "apiVersion": "wovenet.io/v1alpha1", "kind": "ExposedApp",
                "metadata": {"name": "web", "namespace": namespace},
                "spec": {"service": {"name": "web", "ports": [80]}, "allowedSites": ["office"]},
            }),
        );
    }

    /// A condition of an object as `status reason message`; empty while there is none.
    pub(crate) fn condition(&self, resource: &str, namespace: &str, name: &str, type_: &str) -> String {
        let object = self.server.get(resource, namespace, name).unwrap_or_default();
        let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
        let found = conditions.into_iter().flatten().find(|one| one["type"] == type_);
        let text = |one: &Value, field: &str| one[field].as_str().unwrap_or_default().to_owned();
        found.map(|one| ["status", "reason", "message"].map(|field| text(one, field)).join(" ")).unwrap_or_default()
    }

    /// Waits until a condition says what is written.
    pub(crate) async fn tells(&self, (resource, namespace, name): (&str, &str, &str), type_: &str, what: &str) {
        let told = || self.condition(resource, namespace, name, type_).starts_with(what);
        until(&format!("{resource} {name} tells {type_} {what}"), told).await;
    }

    /// Starts an operator with a door of its own.
    pub(crate) async fn operator(&self, name: &str) -> Operator {
        let (door, client) = self.server.door().await;
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let health = free.local_addr().unwrap();
        drop(free);
        let arguments = RunArguments {
            namespace: SYSTEM.to_owned(),
            name: name.to_owned(),
            agent_image: "registry.example/wovenet-agent:1".to_owned(),
            agent_pull_policy: "IfNotPresent".to_owned(),
            metrics_addr: health,
            log_format: LogFormat::Text,
            log_level: tracing::Level::INFO,
        };
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let task = tokio::spawn(run_with(client, arguments, Metrics::register().unwrap(), stopped));
        Operator { door, health, task, stop }
    }

    /// Waits until a RemoteApp is ready and its slice lists the agent.
    pub(crate) async fn serves(&self, app: &str) {
        until(&format!("{app} is served"), || self.is_ready(app) && self.lists(app)).await;
    }

    pub(crate) fn is_ready(&self, app: &str) -> bool {
        self.condition("remoteapps", APPS, app, "Ready").starts_with("True")
    }

    /// Whether the slice of an app lists the agent.
    pub(crate) fn lists(&self, app: &str) -> bool {
        let slice = self.server.get("endpointslices", APPS, &format!("{app}-wovenet-ipv4"));
        let address = slice.as_ref().and_then(|slice| slice.pointer("/endpoints/0/addresses/0"));
        address == Some(&json!(self.agent.address.to_string()))
    }

    /// Asserts that the agent has not left the slice of an app since it came in.
    pub(crate) fn was_listed_ever_since(&self, app: &str) {
        let lists = self.history("endpointslices", &format!("{app}-wovenet-ipv4"), "/endpoints");
        let listed = lists.iter().skip_while(|list| **list == json!([])).count();
        assert_eq!(listed, 1, "{lists:?}");
    }

    /// Waits until nothing is written any more, and returns how many writes there were.
    pub(crate) async fn quiet(&self) -> usize {
        let begun = Instant::now();
        loop {
            let writes = self.server.writes(0);
            if writes.last().is_none_or(|write| write.at.elapsed() > QUIET) {
                return writes.len();
            }
            assert!(begun.elapsed() < PATIENCE, "still written: {:?}", &writes[writes.len().saturating_sub(6)..]);
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Asserts that nothing was written since, and that the agent has the same configuration.
    pub(crate) fn unmoved(&self, writes: usize, revision: u64) {
        let since: Vec<Write> = self.server.writes(writes);
        assert!(since.is_empty(), "{since:?}");
        assert_eq!(self.agent.revision(), revision);
    }

    /// Every value that a field of an object has had, each once in a row.
    pub(crate) fn history(&self, resource: &str, name: &str, pointer: &str) -> Vec<Value> {
        let objects = self.server.history(resource, APPS, name);
        let mut values: Vec<Value> = objects.iter().filter_map(|object| object.pointer(pointer).cloned()).collect();
        values.dedup();
        values
    }
}

impl Operator {
    /// Stops it as SIGTERM does.
    pub(crate) async fn stops(mut self) {
        self.stop.cancel();
        (&mut self.task).await.unwrap().unwrap();
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "in vain: {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
