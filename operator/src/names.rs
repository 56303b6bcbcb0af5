//! Names and labels of everything that the operator makes.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;
use wovenet_crds::Site;

/// The field manager of every write, constant over versions.
pub const FIELD_MANAGER: &str = "wovenet-operator";
/// The label of everything that the operator made, and its value.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "wovenet-operator");
/// The label with the Site that an object belongs to.
pub const SITE_LABEL: &str = "wovenet.io/site";
/// The label of agents, and its value.
pub const AGENT_LABEL: (&str, &str) = ("app.kubernetes.io/name", "wovenet-agent");
/// The annotation with the hash of what was applied last.
pub const APPLIED_HASH: &str = "wovenet.io/applied-hash";
/// The annotation of a Site with names, separated by commas, that are to be free of the key they are bound to.
pub const UNPIN: &str = "wovenet.io/unpin";
/// Who manages an EndpointSlice (KEP-752), so that no other controller touches it.
pub const SLICE_MANAGED_BY: (&str, &str) = ("endpointslice.kubernetes.io/managed-by", "wovenet.io");
/// The Secret with the key by which agents know the operator.
pub const OPERATOR_KEY_SECRET: &str = "wovenet-operator-key";
/// The field of a Secret with a private key, PKCS #8 PEM.
pub const KEY_FIELD: &str = "site.key";
/// The field of an agent's Secret with its configuration.
pub const CONFIG_FIELD: &str = "config.yaml";
/// The field of the Secret with what agents know of other sites.
pub const PEERS_FIELD: &str = "peers.json";
/// The port of the agent's API.
pub const API_PORT: u16 = 9443;
/// The port of the agent's health and metrics.
pub const HEALTH_PORT: u16 = 9090;

/// Returns the name of a Site's DaemonSet and of its configuration Secret.
pub fn agent(site: &str) -> String {
    format!("{site}-agent")
}

/// Returns the name of the Secret with a Site's key. It outlives the Site.
pub fn identity(site: &str) -> String {
    format!("{site}-identity")
}

/// Returns the name of the Secret with what a Site's agents know of other sites. It outlives the Site.
pub fn peers(site: &str) -> String {
    format!("{site}-peers")
}

/// Returns the name of the Service of one way in which a Site is exposed.
pub fn tunnel(site: &str, index: usize) -> String {
    match index {
        0 => format!("{site}-tunnel"),
        _ => format!("{site}-tunnel-{}", index + 1),
    }
}

/// Returns the labels by which a Site's agents are selected. They never change.
pub fn agent_selector(site: &str) -> BTreeMap<String, String> {
    pairs([AGENT_LABEL, (SITE_LABEL, site)])
}

/// Returns the labels of an object that belongs to a Site.
pub fn labels(site: &str) -> BTreeMap<String, String> {
    pairs([MANAGED_BY, (SITE_LABEL, site), ("app.kubernetes.io/part-of", "wovenet")])
}

/// Returns the metadata of an object of a Site in the operator's namespace.
pub fn of_site(site: &Site, name: String) -> ObjectMeta {
    let site_name = site.metadata.name.clone().unwrap_or_default();
    ObjectMeta {
        name: Some(name),
        namespace: site.metadata.namespace.clone(),
        labels: Some(labels(&site_name)),
        owner_references: Some(owned_by(site)),
        ..ObjectMeta::default()
    }
}

/// Returns the owner references of what goes with `owner`.
pub fn owned_by<K: Resource<DynamicType = ()>>(owner: &K) -> Vec<OwnerReference> {
    owner.controller_owner_ref(&()).into_iter().collect()
}

/// Tells whether an object was made by the operator for the owner with this uid.
pub fn is_owned_by(metadata: &ObjectMeta, uid: Option<&str>) -> bool {
    let owners = metadata.owner_references.as_deref().unwrap_or_default();
    is_ours(metadata) && owners.iter().any(|owner| Some(owner.uid.as_str()) == uid)
}

/// Tells whether an object was made by the operator for one of its kinds. The label alone does not tell: Kubernetes
/// copies the labels of a Service to the EndpointSlices that it makes for it.
pub fn is_ours(metadata: &ObjectMeta) -> bool {
    let owners = metadata.owner_references.as_deref().unwrap_or_default();
    let labels = metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(MANAGED_BY.0)).is_some_and(|value| value == MANAGED_BY.1)
        && owners.iter().any(|owner| owner.controller == Some(true) && is_of_group(&owner.api_version))
}

fn is_of_group(api_version: &str) -> bool {
    api_version.strip_prefix(wovenet_crds::GROUP).is_some_and(|rest| rest.starts_with('/'))
}

/// Tells whether an object was made by the operator for the Site of this name, be it one that was deleted meanwhile.
pub fn is_of_site(metadata: &ObjectMeta, site: &str) -> bool {
    let owners = metadata.owner_references.as_deref().unwrap_or_default();
    is_ours(metadata) && owners.iter().any(|owner| owner.kind == Site::kind(&()) && owner.name == site)
}

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(owner: &str) -> ObjectMeta {
        let owner = OwnerReference { api_version: owner.into(), controller: Some(true), ..OwnerReference::default() };
        ObjectMeta { labels: Some(labels("site")), owner_references: Some(vec![owner]), ..ObjectMeta::default() }
    }

    #[test]
    fn what_kubernetes_makes_for_a_service_of_ours_is_not_ours_though_it_has_its_labels() {
        assert!(is_ours(&metadata("wovenet.io/v1alpha1")));
        assert!(!is_ours(&metadata("v1")));
        assert!(!is_ours(&ObjectMeta { labels: Some(labels("site")), ..ObjectMeta::default() }));
    }
}
