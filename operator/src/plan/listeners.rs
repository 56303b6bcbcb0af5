//! The listener ports of a Site's remote apps, and the listeners that go only after what leads to them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt;
use wovenet_config::document::RemoteApp as RemoteAppEntry;
use wovenet_crds::RemoteApp;

use crate::collect::Snapshot;
use crate::configuration::Configuration;
use crate::judge::{JudgedRemoteApp, JudgedSite, SOCKETS_MAX};
use crate::names;
use crate::ports::{self, Key};
use crate::render::remote_app::slice_name;

/// The ports that were given, and new ones for those that have none. A Site that is invalid gives no new ones.
pub(super) fn listener_ports(
    judged: &JudgedSite,
    known: &Snapshot,
    remembered: Option<&BTreeMap<Key, u16>>,
    resting: Option<&BTreeSet<u16>>,
    led_to: &BTreeSet<u16>,
) -> BTreeMap<Key, u16> {
    let (mut wanted, mut given) = (Vec::new(), BTreeMap::new());
    for one in judged.remote.iter().filter(|one| one.accepted.is_ok() && one.app.service().is_some()) {
        for port in &one.app.spec.ports {
            let key = key(one, &port.name);
            let of_status = || {
                let ports = &one.app.status.as_ref()?.ports;
                ports.iter().find(|known| known.name == port.name).map(|known| known.listener_port)
            };
            let of_memory = remembered.and_then(|ports| ports.get(&key).copied());
            if let Some(port) = of_memory.or_else(of_status).or_else(|| of_slices(one, &port.name, known)) {
                given.insert(key.clone(), port);
            }
            wanted.push(key);
        }
    }
    if judged.accepted.is_err() {
        return given;
    }
    let given_back = remembered.into_iter().flatten().filter(|(key, _)| !given.contains_key(*key));
    let resting = resting.into_iter().flatten().chain(given_back.map(|(_, port)| port));
    let resting = resting.copied().collect();
    ports::allocate(judged.site.spec.listener_ports, &wanted, &given, &resting, led_to)
}

/// The port to which an app's own slices lead, when no record is left but them.
fn of_slices(one: &JudgedRemoteApp, port: &str, known: &Snapshot) -> Option<u16> {
    let ports = own_slices(&one.app, known).flat_map(|slice| slice.ports.iter().flatten());
    let number = ports.filter(|known| known.name.as_deref() == Some(port)).find_map(|known| known.port);
    u16::try_from(number?).ok()
}

/// The slices of a remote app.
pub(super) fn own_slices<'a>(app: &RemoteApp, known: &'a Snapshot) -> impl Iterator<Item = &'a Arc<EndpointSlice>> {
    let (namespace, uid) = (app.namespace().unwrap_or_default(), app.metadata.uid.clone());
    let service = app.service_name().unwrap_or_default();
    let names = ["IPv4", "IPv6"].map(|family| slice_name(&service, family));
    let slices = names.into_iter().filter_map(move |name| known.slices.get(&(namespace.clone(), name)));
    slices.filter(move |slice| names::is_owned_by(&slice.metadata, uid.as_deref()))
}

fn key(one: &JudgedRemoteApp, port: &str) -> Key {
    (one.app.namespace().unwrap_or_default(), one.app.name_any(), port.to_owned())
}

/// The listener ports to which the slices of a Site's remote apps lead clients.
pub(super) fn led_to(site: &str, known: &Snapshot) -> BTreeSet<u16> {
    let ours = known.slices.values().filter(|slice| {
        !slice.endpoints.is_empty()
            && slice.labels().get(names::SITE_LABEL).is_some_and(|label| label == site)
            && names::is_ours(&slice.metadata)
    });
    let ports = ours.flat_map(|slice| slice.ports.iter().flatten()).filter_map(|port| port.port);
    ports.filter_map(|port| u16::try_from(port).ok()).collect()
}

/// What is not wanted any more, while slices still lead clients to it: a listener goes after them, never before. Nothing
/// leads to a unix socket: it stays while there are remote apps that cannot be read, as it may be of one of them.
pub(super) fn retiring(
    before: Option<&Configuration>,
    wanted: &[RemoteAppEntry],
    led_to: &BTreeSet<u16>,
    known: &Snapshot,
) -> Vec<RemoteAppEntry> {
    let Some(before) = before else { return Vec::new() };
    let wanted: BTreeSet<Option<&String>> = wanted.iter().map(|app| app.local_socket.as_ref()).collect();
    let may_be_unreadable = !known.unreadable.remote_apps.is_empty();
    let stays = |app: &&RemoteAppEntry| {
        let socket = app.local_socket.as_deref().unwrap_or_default();
        match socket.strip_prefix("tcp:").and_then(|address| address.rsplit_once(':')) {
            Some((_, port)) => port.parse().is_ok_and(|port| led_to.contains(&port)),
            None => may_be_unreadable,
        }
    };
    let apps = before.document.remote_apps.iter().filter(|app| !wanted.contains(&app.local_socket.as_ref()));
    apps.filter(stays).take(SOCKETS_MAX.saturating_sub(wanted.len())).cloned().collect()
}

/// The listener ports of one remote app, by the name of its port.
pub fn ports_of(one: &JudgedRemoteApp, ports: &BTreeMap<Key, u16>) -> BTreeMap<String, u16> {
    let of_app =
        one.app.spec.ports.iter().filter_map(|port| Some((port.name.clone(), *ports.get(&key(one, &port.name))?)));
    of_app.collect()
}
