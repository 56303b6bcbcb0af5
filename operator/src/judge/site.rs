//! Judges a Site by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use wovenet_config::{Document, Severity, validate};
use wovenet_crds::Site;
use wovenet_crds::condition::Reason;
use wovenet_crds::site::ExposeType;

use super::{JudgedSite, MeshKeys, Refusal, Share, secrets};
use crate::collect::{Snapshot, Surroundings};
use crate::names::{self, API_PORT, HEALTH_PORT};
use crate::render::{SiteDocument, tunnel_service};

/// A mesh key that is nobody's: an object is judged whatever the Secret of its Site holds.
const ANY_MESH_KEY: &str = "the key of nobody in particular";

pub(super) fn judge(site: &Arc<Site>, known: &Snapshot, around: &Surroundings) -> JudgedSite {
    JudgedSite {
        site: site.clone(),
        accepted: accept(site, known, around),
        references: secrets::read(site, known),
        exposed: Vec::new(),
        remote: Vec::new(),
        taken: Share::default(),
        names: BTreeMap::new(),
    }
}

fn accept(site: &Site, known: &Snapshot, around: &Surroundings) -> Result<(), Refusal> {
    let name = site.name_any();
    let older = known.sites.iter().take_while(|other| other.metadata.uid != site.metadata.uid);
    for other in older {
        if is_same_mesh(site, other) && site.site_name() == other.site_name() {
            let message = format!(
                "Site {} is older and is called {} in the same mesh: choose another spec.siteName",
                other.name_any(),
                site.site_name()
            );
            return Err((Reason::NameConflict, message));
        }
        if on_host_network(site) && on_host_network(other) {
            let message = format!(
                "agents of Site {} are on the network of the nodes too, with the same ports {API_PORT} and {HEALTH_PORT}: \
                 choose another type than HostNetwork in spec.expose",
                other.name_any()
            );
            return Err((Reason::PortConflict, message));
        }
        if let Some(port) = shared_host_port(site, other) {
            let message = format!("Site {} uses port {port} of the same nodes: choose another one", other.name_any());
            return Err((Reason::PortConflict, message));
        }
    }
    nothing_foreign(site, known)?;
    let pool = site.spec.listener_ports;
    if let Some(port) = [API_PORT, HEALTH_PORT].into_iter().find(|port| (pool.first..=pool.last).contains(port)) {
        let message = format!("spec.listenerPorts holds {port}, which is the agents' own: choose a range without it");
        return Err((Reason::Invalid, message));
    }
    let mut ports = BTreeSet::new();
    for expose in &site.spec.expose {
        if !ports.insert(expose.port) {
            let message = format!("two entries of spec.expose have port {}: each needs its own", expose.port);
            return Err((Reason::Invalid, message));
        }
    }
    check(&skeleton(site, known, around)).map_err(|problem| (Reason::Invalid, format!("Site {name}: {problem}")))
}

/// Whether both find the same sites: by the key and the topic, as brokers may be listed in another order or by another name.
fn is_same_mesh(one: &Site, other: &Site) -> bool {
    let topic = |site: &Site| site.spec.message_channel.as_ref().and_then(|channel| channel.mqtt.topic.clone());
    one.spec.key_secret_ref.name == other.spec.key_secret_ref.name && topic(one) == topic(other)
}

/// Where the Site's objects are to be, nothing may be that somebody else made: it would be overwritten.
fn nothing_foreign(site: &Site, known: &Snapshot) -> Result<(), Refusal> {
    let (name, namespace) = (site.name_any(), site.namespace().unwrap_or_default());
    let conflict = |kind: &str, object: &str| {
        let message = format!("{kind} {object} exists and was not made for this Site: rename it, or the Site");
        Err((Reason::NameConflict, message))
    };
    let is_foreign = |metadata: &ObjectMeta| !names::is_of_site(metadata, &name);
    let agent = names::agent(&name);
    if known.secrets.get(&agent).is_some_and(|secret| is_foreign(&secret.metadata)) {
        return conflict("Secret", &agent);
    }
    if known.daemon_sets.get(&agent).is_some_and(|set| is_foreign(&set.metadata)) {
        return conflict("DaemonSet", &agent);
    }
    // It has no owner, so that it outlives its Site.
    let peers = names::peers(&name);
    let is_label = |secret: &Secret, (key, value): (&str, &str)| secret.labels().get(key).is_some_and(|v| v == value);
    let is_peers =
        |secret: &Secret| is_label(secret, names::MANAGED_BY) && is_label(secret, (names::SITE_LABEL, &name));
    if known.secrets.get(&peers).is_some_and(|secret| !is_peers(secret)) {
        return conflict("Secret", &peers);
    }
    for service in tunnel_service::services(site).iter().map(ResourceExt::name_any) {
        let existing = known.services.get(&(namespace.clone(), service.clone()));
        if existing.is_some_and(|existing| is_foreign(&existing.metadata)) {
            return conflict("Service", &service);
        }
    }
    Ok(())
}

/// The port of the nodes that both want.
fn shared_host_port(one: &Site, other: &Site) -> Option<u16> {
    let ports = |site: &Site| -> BTreeSet<u16> {
        let on_host = |kind: ExposeType| matches!(kind, ExposeType::HostPort | ExposeType::HostNetwork);
        site.spec.expose.iter().filter(|expose| on_host(expose.type_)).map(|expose| expose.port).collect()
    };
    ports(one).intersection(&ports(other)).next().copied()
}

/// Whether the agents' own ports are ports of their nodes too.
fn on_host_network(site: &Site) -> bool {
    site.spec.expose.iter().any(|expose| expose.type_ == ExposeType::HostNetwork)
}

/// Returns the Site's document without apps.
fn skeleton(site: &Site, known: &Snapshot, around: &Surroundings) -> Document {
    let keys = MeshKeys { primary: ANY_MESH_KEY.to_owned(), secondary: None };
    SiteDocument {
        site,
        keys: &keys,
        credentials: None,
        operator_key: around.operator_key,
        unpin: Vec::new(),
        local_sockets: tunnel_service::local_sockets(site, known).0,
        exposed_apps: Vec::new(),
        remote_apps: Vec::new(),
    }
    .render()
}

/// Tells the first error of a document.
pub(crate) fn check(document: &Document) -> Result<(), String> {
    let Err(problems) = validate(document) else { return Ok(()) };
    let error = problems.into_iter().find(|problem| problem.severity == Severity::Error);
    error.map_or(Ok(()), |problem| Err(format!("{}: {}", problem.path, problem.message)))
}

/// The document of a Site in which nothing but its apps can be wrong.
pub(super) fn plain(site: &Site) -> Document {
    use wovenet_config::document::{Crypto, MessageChannel, SecretValue};
    Document {
        site_name: Some(site.site_name()),
        crypto: Some(Crypto { key: Some(SecretValue::new(ANY_MESH_KEY)), secondary_key: None }),
        message_channel: Some(MessageChannel { protocol: Some("mqtt".to_owned()), mqtt: None }),
        ..Document::default()
    }
}
