//! Judges a Site by itself.

use std::collections::BTreeSet;
use std::sync::Arc;

use kube::ResourceExt;
use wovenet_config::{Document, Severity, validate};
use wovenet_crds::Site;
use wovenet_crds::condition::Reason;
use wovenet_crds::site::ExposeType;

use super::{JudgedSite, MeshKeys, Refusal, secrets};
use crate::collect::{Snapshot, Surroundings};
use crate::names::{API_PORT, HEALTH_PORT};
use crate::render::SiteDocument;

/// A mesh key that is nobody's: an object is judged whatever the Secret of its Site holds.
const ANY_MESH_KEY: &str = "the key of nobody in particular";

pub(super) fn judge(site: &Arc<Site>, known: &Snapshot, around: &Surroundings) -> JudgedSite {
    JudgedSite {
        site: site.clone(),
        accepted: accept(site, known, around),
        references: secrets::read(site, known),
        exposed: Vec::new(),
        remote: Vec::new(),
    }
}

fn accept(site: &Site, known: &Snapshot, around: &Surroundings) -> Result<(), Refusal> {
    let name = site.name_any();
    let older = known.sites.iter().take_while(|other| other.metadata.uid != site.metadata.uid);
    for other in older {
        if let Some(port) = shared_host_port(site, other) {
            let message = format!("Site {} uses port {port} of the same nodes: choose another one", other.name_any());
            return Err((Reason::PortConflict, message));
        }
    }
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
    check(&skeleton(site, around)).map_err(|problem| (Reason::Invalid, format!("Site {name}: {problem}")))
}

/// The port of the nodes that both want.
fn shared_host_port(one: &Site, other: &Site) -> Option<u16> {
    let ports = |site: &Site| -> BTreeSet<u16> {
        let on_host = |kind: ExposeType| matches!(kind, ExposeType::HostPort | ExposeType::HostNetwork);
        site.spec.expose.iter().filter(|expose| on_host(expose.type_)).map(|expose| expose.port).collect()
    };
    let on_host_network = |site: &Site| site.spec.expose.iter().any(|expose| expose.type_ == ExposeType::HostNetwork);
    // On the network of the host the agent's own ports are ports of the node too.
    let own = (on_host_network(one) && on_host_network(other)).then_some(API_PORT);
    ports(one).intersection(&ports(other)).next().copied().or(own)
}

/// Returns the Site's document without sockets and apps: what single apps are judged within.
pub(super) fn skeleton(site: &Site, around: &Surroundings) -> Document {
    let keys = MeshKeys { primary: ANY_MESH_KEY.to_owned(), secondary: None };
    SiteDocument {
        site,
        keys: &keys,
        credentials: None,
        operator_key: around.operator_key,
        unpin: Vec::new(),
        local_sockets: Vec::new(),
        exposed_apps: Vec::new(),
        remote_apps: Vec::new(),
    }
    .render()
}

/// Tells the first error of a document.
pub(super) fn check(document: &Document) -> Result<(), String> {
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
