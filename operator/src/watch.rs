//! What the operator sees of the cluster: one watch for each kind, kept in a store, with one signal for any change.

mod kind;
mod trim;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource, ResourceExt};
use tokio::sync::watch;
use tokio::task::JoinSet;
use wovenet_crds::{ExposedApp, RemoteApp, Site};

use self::kind::{Kind, Watched};
use crate::agent_report::Heard;
use crate::collect::{Snapshot, Unreadable, by_age};
use crate::metrics::Metrics;
use crate::names::AGENT_LABEL;

/// All stores.
pub struct Stores {
    sites: Kind<Site>,
    exposed_apps: Kind<ExposedApp>,
    remote_apps: Kind<RemoteApp>,
    services: Kind<Service>,
    slices: Kind<EndpointSlice>,
    namespaces: Kind<Namespace>,
    nodes: Kind<Node>,
    pods: Kind<Pod>,
    secrets: Kind<Secret>,
    daemon_sets: Kind<DaemonSet>,
}

/// Starts every watch as a task of `tasks`; `changes` moves with each change.
pub fn start(
    client: &Client,
    namespace: &str,
    changes: &watch::Sender<u64>,
    metrics: &Metrics,
    tasks: &mut JoinSet<()>,
) -> Stores {
    let mut watches = Watches { client, changes, metrics, tasks };
    Stores {
        sites: watches.of_namespace(namespace),
        exposed_apps: watches.all(),
        remote_apps: watches.all(),
        services: watches.all(),
        slices: watches.all(),
        namespaces: watches.all(),
        nodes: watches.all(),
        pods: watches.all(),
        secrets: watches.of_namespace(namespace),
        daemon_sets: watches.of_namespace(namespace),
    }
}

struct Watches<'a> {
    client: &'a Client,
    changes: &'a watch::Sender<u64>,
    metrics: &'a Metrics,
    tasks: &'a mut JoinSet<()>,
}

impl Watches<'_> {
    fn all<K: Watched>(&mut self) -> Kind<K> {
        Kind::start(Api::all(self.client.clone()), self.changes, self.metrics, self.tasks)
    }

    fn of_namespace<K: Watched + Resource<Scope = NamespaceResourceScope>>(&mut self, namespace: &str) -> Kind<K> {
        Kind::start(Api::namespaced(self.client.clone(), namespace), self.changes, self.metrics, self.tasks)
    }
}

impl Stores {
    /// Waits until every kind was listed once.
    pub async fn ready(&self) {
        // An error means that the watch's task is gone, which ends the operator elsewhere.
        let _all = tokio::join!(
            self.sites.store.wait_until_ready(),
            self.exposed_apps.store.wait_until_ready(),
            self.remote_apps.store.wait_until_ready(),
            self.services.store.wait_until_ready(),
            self.slices.store.wait_until_ready(),
            self.namespaces.store.wait_until_ready(),
            self.nodes.store.wait_until_ready(),
            self.pods.store.wait_until_ready(),
            self.secrets.store.wait_until_ready(),
            self.daemon_sets.store.wait_until_ready(),
        );
    }

    /// Returns what is known at this moment.
    pub fn snapshot(&self, namespace: &str, heard: BTreeMap<String, Heard>) -> Snapshot {
        let (sites, unreadable_sites) = self.sites.read();
        let (exposed_apps, unreadable_exposed_apps) = self.exposed_apps.read();
        let (remote_apps, unreadable_remote_apps) = self.remote_apps.read();
        let namespaces = by_name(self.namespaces.store.state());
        let pods = self.pods.store.state();
        let mut pod_addresses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for pod in pods.iter().filter(|pod| !has_ended(pod)) {
            let ips = pod.status.as_ref().and_then(|status| status.pod_ips.as_deref()).unwrap_or_default();
            let of_namespace = pod_addresses.entry(pod.metadata.namespace.clone().unwrap_or_default()).or_default();
            of_namespace.extend(ips.iter().map(|ip| ip.ip.clone()));
        }
        let is_agent = |pod: &Arc<Pod>| {
            pod.metadata.namespace.as_deref() == Some(namespace)
                && pod.labels().get(AGENT_LABEL.0).is_some_and(|name| name == AGENT_LABEL.1)
        };
        Snapshot {
            sites: by_age(staying(sites)),
            exposed_apps: by_age(of_staying(&namespaces, staying(exposed_apps))),
            remote_apps: by_age(of_staying(&namespaces, staying(remote_apps))),
            services: by_place(self.services.store.state()),
            slices: by_place(self.slices.store.state()),
            namespaces,
            nodes: by_name(self.nodes.store.state()),
            agents: by_age(pods.into_iter().filter(is_agent).collect()),
            pod_addresses,
            secrets: by_name(self.secrets.store.state()),
            daemon_sets: by_name(self.daemon_sets.store.state()),
            heard,
            unreadable: Unreadable {
                sites: unreadable_sites,
                exposed_apps: unreadable_exposed_apps,
                remote_apps: unreadable_remote_apps,
            },
            unwritten: BTreeMap::new(),
        }
    }
}

/// Those that are not being deleted: one that waits for finalizers of somebody else is as good as gone.
fn staying<K: ResourceExt>(mut objects: Vec<Arc<K>>) -> Vec<Arc<K>> {
    objects.retain(|object| object.meta().deletion_timestamp.is_none());
    objects
}

/// Those whose namespace is not being deleted: pods there may go first, each with its time to end, and only then apps
/// (KEP-5080).
fn of_staying<K: ResourceExt>(namespaces: &BTreeMap<String, Arc<Namespace>>, mut apps: Vec<Arc<K>>) -> Vec<Arc<K>> {
    let goes = |namespace: &Arc<Namespace>| namespace.metadata.deletion_timestamp.is_some();
    apps.retain(|app| !app.namespace().and_then(|name| namespaces.get(&name)).is_some_and(goes));
    apps
}

/// Tells whether a pod runs no more: its address may be another one's by now.
fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

fn by_name<K: ResourceExt>(objects: Vec<Arc<K>>) -> BTreeMap<String, Arc<K>> {
    objects.into_iter().map(|object| (object.name_any(), object)).collect()
}

fn by_place<K: ResourceExt>(objects: Vec<Arc<K>>) -> BTreeMap<(String, String), Arc<K>> {
    let place = |object: &K| (object.namespace().unwrap_or_default(), object.name_any());
    objects.into_iter().map(|object| (place(&object), object)).collect()
}
