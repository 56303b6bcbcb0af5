//! What the operator sees of the cluster: one watch for each kind, kept in a store, with one signal for any change.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;

use futures_util::StreamExt;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{Lookup, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::JoinSet;
use wovenet_crds::{ExposedApp, RemoteApp, Site};

use crate::agent_report::Heard;
use crate::collect::{Snapshot, by_age};
use crate::metrics::Metrics;
use crate::names::AGENT_LABEL;

/// How long a watch may stay silent before it is made anew: so long a dead connection goes unseen (seconds).
const WATCH_TIMEOUT_SECONDS: u32 = 45;

/// All stores.
pub struct Stores {
    sites: Store<Site>,
    exposed_apps: Store<ExposedApp>,
    remote_apps: Store<RemoteApp>,
    services: Store<Service>,
    slices: Store<EndpointSlice>,
    namespaces: Store<Namespace>,
    nodes: Store<Node>,
    pods: Store<Pod>,
    secrets: Store<Secret>,
    daemon_sets: Store<DaemonSet>,
}

/// Starts every watch as a task of `tasks`; `changes` moves with each change.
pub fn start(
    client: &Client,
    namespace: &str,
    changes: &watch::Sender<u64>,
    metrics: &Metrics,
    tasks: &mut JoinSet<()>,
) -> Stores {
    let mut watches = Watches { changes, metrics, tasks };
    Stores {
        sites: watches.start(Api::namespaced(client.clone(), namespace)),
        exposed_apps: watches.start(Api::all(client.clone())),
        remote_apps: watches.start(Api::all(client.clone())),
        services: watches.start(Api::all(client.clone())),
        slices: watches.start(Api::all(client.clone())),
        namespaces: watches.start(Api::all(client.clone())),
        nodes: watches.start(Api::all(client.clone())),
        pods: watches.start(Api::all(client.clone())),
        secrets: watches.start(Api::namespaced(client.clone(), namespace)),
        daemon_sets: watches.start(Api::namespaced(client.clone(), namespace)),
    }
}

struct Watches<'a> {
    changes: &'a watch::Sender<u64>,
    metrics: &'a Metrics,
    tasks: &'a mut JoinSet<()>,
}

impl Watches<'_> {
    fn start<K>(&mut self, api: Api<K>) -> Store<K>
    where
        K: Resource<DynamicType = ()>
            + Lookup<DynamicType = ()>
            + Trim
            + Clone
            + DeserializeOwned
            + Debug
            + Send
            + Sync
            + 'static,
    {
        let writer = Writer::<K>::default();
        let store = writer.as_reader();
        let known = store.clone();
        let kind = <K as Resource>::kind(&()).into_owned();
        let errors = self.metrics.watch_errors.with_label_values(&[&kind]);
        let changes = self.changes.clone();
        let events = watcher(api, watcher::Config::default().timeout(WATCH_TIMEOUT_SECONDS))
            .default_backoff()
            .modify(|object| {
                object.managed_fields_mut().clear();
                object.trim();
            })
            .filter(move |event| std::future::ready(is_news(event, &known)))
            .reflect(writer);
        self.tasks.spawn(async move {
            let mut events = std::pin::pin!(events);
            let mut failing = false;
            while let Some(event) = events.next().await {
                match event {
                    // Only the intention to list.
                    Ok(watcher::Event::Init) => {}
                    Ok(_) => {
                        if std::mem::take(&mut failing) {
                            tracing::info!(kind, "the watch works again");
                        }
                        changes.send_modify(|count| *count += 1);
                    }
                    Err(error) => {
                        errors.inc();
                        if !std::mem::replace(&mut failing, true) {
                            tracing::warn!(kind, %error, "cannot watch, it is tried again");
                        }
                    }
                }
            }
        });
        store
    }
}

/// Tells whether an event is worth a look: not one that comes twice, or after what overtook it.
fn is_news<K>(event: &Result<watcher::Event<K>, watcher::Error>, known: &Store<K>) -> bool
where
    K: Resource<DynamicType = ()> + Lookup<DynamicType = ()> + Clone + 'static,
{
    let (object, is_older): (_, fn(u128, u128) -> bool) = match event {
        Ok(watcher::Event::Apply(object)) => (object, |told, known| told <= known),
        Ok(watcher::Event::Delete(object)) => (object, |told, known| told < known),
        _ => return true,
    };
    let Some(known) = known.get(&object.to_object_ref(())) else { return true };
    let version = |object: &K| object.meta().resource_version.as_ref()?.parse().ok();
    match (version(object), version(&known)) {
        (Some(told), Some(known)) => !is_older(told, known),
        _ => true,
    }
}

/// Drops what the operator never reads, so that a large cluster costs little memory.
trait Trim {
    fn trim(&mut self) {}
}

impl Trim for Site {}
impl Trim for ExposedApp {}
impl Trim for RemoteApp {}
impl Trim for Service {}
impl Trim for EndpointSlice {}
impl Trim for Namespace {}
impl Trim for Secret {}
impl Trim for DaemonSet {}

impl Trim for Node {
    fn trim(&mut self) {
        self.spec = None;
        if let Some(status) = &mut self.status {
            status.images = None;
        }
    }
}

impl Trim for Pod {
    fn trim(&mut self) {
        let agent = self.labels().get(AGENT_LABEL.0).is_some_and(|name| name == AGENT_LABEL.1);
        let node_name = self.spec.as_ref().and_then(|spec| spec.node_name.clone());
        if let Some(spec) = &mut self.spec {
            *spec = k8s_openapi::api::core::v1::PodSpec { node_name, ..Default::default() };
        }
        if !agent {
            self.metadata.labels = None;
            self.metadata.annotations = None;
        }
        if let Some(status) = &mut self.status {
            *status = k8s_openapi::api::core::v1::PodStatus {
                pod_ips: status.pod_ips.take(),
                conditions: status.conditions.take().filter(|_| agent),
                ..Default::default()
            };
        }
    }
}

impl Stores {
    /// Waits until every kind was listed once.
    pub async fn ready(&self) {
        // An error means that the watch's task is gone, which ends the operator elsewhere.
        let _all = tokio::join!(
            self.sites.wait_until_ready(),
            self.exposed_apps.wait_until_ready(),
            self.remote_apps.wait_until_ready(),
            self.services.wait_until_ready(),
            self.slices.wait_until_ready(),
            self.namespaces.wait_until_ready(),
            self.nodes.wait_until_ready(),
            self.pods.wait_until_ready(),
            self.secrets.wait_until_ready(),
            self.daemon_sets.wait_until_ready(),
        );
    }

    /// Returns what is known at this moment.
    pub fn snapshot(&self, namespace: &str, heard: BTreeMap<String, Heard>) -> Snapshot {
        let pods = self.pods.state();
        let mut pod_addresses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for pod in &pods {
            let ips = pod.status.as_ref().and_then(|status| status.pod_ips.as_deref()).unwrap_or_default();
            let of_namespace = pod_addresses.entry(pod.metadata.namespace.clone().unwrap_or_default()).or_default();
            of_namespace.extend(ips.iter().map(|ip| ip.ip.clone()));
        }
        let is_agent = |pod: &Arc<Pod>| {
            pod.metadata.namespace.as_deref() == Some(namespace)
                && pod.labels().get(AGENT_LABEL.0).is_some_and(|name| name == AGENT_LABEL.1)
        };
        Snapshot {
            sites: by_age(self.sites.state()),
            exposed_apps: by_age(self.exposed_apps.state()),
            remote_apps: by_age(self.remote_apps.state()),
            services: by_place(self.services.state()),
            slices: by_place(self.slices.state()),
            namespaces: by_name(self.namespaces.state()),
            nodes: by_name(self.nodes.state()),
            agents: by_age(pods.into_iter().filter(is_agent).collect()),
            pod_addresses,
            secrets: by_name(self.secrets.state()),
            daemon_sets: by_name(self.daemon_sets.state()),
            heard,
            unwritten: BTreeMap::new(),
        }
    }
}

fn by_name<K: ResourceExt>(objects: Vec<Arc<K>>) -> BTreeMap<String, Arc<K>> {
    objects.into_iter().map(|object| (object.name_any(), object)).collect()
}

fn by_place<K: ResourceExt>(objects: Vec<Arc<K>>) -> BTreeMap<(String, String), Arc<K>> {
    let place = |object: &K| (object.namespace().unwrap_or_default(), object.name_any());
    objects.into_iter().map(|object| (place(&object), object)).collect()
}
