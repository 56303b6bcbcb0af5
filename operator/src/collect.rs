//! Everything that the operator knows at one moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use wovenet_config::key::PublicKey;
use wovenet_crds::{ExposedApp, RemoteApp, Site};

use crate::agent_report::Heard;
use crate::names::SITE_LABEL;

/// An object by namespace and name.
pub type Place = (String, String);

/// Everything that the operator knows. Lists are in the order of age, then of namespace and name: who comes first keeps
/// what two want.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Sites of the operator's namespace.
    pub sites: Vec<Arc<Site>>,
    /// Exposed apps of all namespaces.
    pub exposed_apps: Vec<Arc<ExposedApp>>,
    /// Remote apps of all namespaces.
    pub remote_apps: Vec<Arc<RemoteApp>>,
    /// Services of all namespaces.
    pub services: BTreeMap<Place, Arc<Service>>,
    /// EndpointSlices of all namespaces.
    pub slices: BTreeMap<Place, Arc<EndpointSlice>>,
    /// Namespaces.
    pub namespaces: BTreeMap<String, Arc<Namespace>>,
    /// Nodes.
    pub nodes: BTreeMap<String, Arc<Node>>,
    /// Pods of agents.
    pub agents: Vec<Arc<Pod>>,
    /// The addresses of the pods of each namespace.
    pub pod_addresses: BTreeMap<String, BTreeSet<String>>,
    /// Secrets of the operator's namespace.
    pub secrets: BTreeMap<String, Arc<Secret>>,
    /// DaemonSets of the operator's namespace.
    pub daemon_sets: BTreeMap<String, Arc<DaemonSet>>,
    /// What agents told, by the uid of their pod.
    pub heard: BTreeMap<String, Heard>,
    /// Objects that cannot be read, and could not since this operator began.
    pub unreadable: Unreadable,
    /// Why the last write of an object failed, by `KIND NAMESPACE/NAME`.
    pub unwritten: BTreeMap<String, String>,
}

/// The metadata of objects of which nothing is known but that they are there.
#[derive(Clone, Debug, Default)]
pub struct Unreadable {
    /// Sites.
    pub sites: Vec<ObjectMeta>,
    /// Exposed apps.
    pub exposed_apps: Vec<ObjectMeta>,
    /// Remote apps.
    pub remote_apps: Vec<ObjectMeta>,
}

/// What does not come from the cluster.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The operator's namespace.
    pub namespace: String,
    /// The image of agents, unless a Site says otherwise.
    pub agent_image: String,
    /// How it is pulled.
    pub agent_pull_policy: String,
    /// The key by which agents know the operator.
    pub operator_key: PublicKey,
    /// The time for people.
    pub now: Timestamp,
    /// The time for waits.
    pub instant: Instant,
    /// Whether this operator has just begun, so that most agents were not heard yet.
    pub beginning: bool,
}

impl Snapshot {
    /// Returns the agents' pods of a Site, those that go away excepted.
    pub fn agents_of<'a>(&'a self, site: &str) -> impl Iterator<Item = &'a Arc<Pod>> {
        let of_site = move |pod: &&Arc<Pod>| pod.labels().get(SITE_LABEL).is_some_and(|label| label == site);
        self.agents.iter().filter(of_site).filter(|pod| pod.metadata.deletion_timestamp.is_none())
    }

    /// Returns what was heard of a pod.
    pub fn heard_of(&self, pod: &Pod) -> Option<&Heard> {
        self.heard.get(pod.metadata.uid.as_deref()?)
    }

    /// Tells whether an address is that of a pod of `namespace`.
    pub fn is_pod_address(&self, namespace: &str, address: &str) -> bool {
        self.pod_addresses.get(namespace).is_some_and(|addresses| addresses.contains(address))
    }

    /// Returns a field of a Secret of the operator's namespace.
    pub fn secret_field(&self, secret: &str, field: &str) -> Option<&[u8]> {
        self.secrets.get(secret)?.data.as_ref()?.get(field).map(|bytes| bytes.0.as_slice())
    }
}

/// Sorts by age, then by namespace and name.
pub fn by_age<K: ResourceExt>(mut objects: Vec<Arc<K>>) -> Vec<Arc<K>> {
    objects.sort_by_key(|object| {
        let created = object.meta().creation_timestamp.as_ref().map(|time| time.0);
        (created.is_none(), created, object.namespace(), object.name_any())
    });
    objects
}

/// Tells whether a pod is ready.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
