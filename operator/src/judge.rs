//! Judges every object: which Site an app attaches to, whether it may, and what its references lead to. Pure.

mod attach;
mod exposed_app;
mod remote_app;
mod secrets;
mod site;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt;
use serde::Serialize;
use wovenet_crds::condition::Reason;
use wovenet_crds::{ExposedApp, RemoteApp, Site};

use crate::collect::{Place, Snapshot, Surroundings};

pub use secrets::{Credentials, MeshKeys};
pub(crate) use site::check;

/// The most apps of one Site, exposed and remote ones together.
pub const APPS_MAX: usize = 2_048;
/// The most local sockets of one Site: agents take no more. A remote app has one for each port, and its unix socket.
pub const SOCKETS_MAX: usize = wovenet_config::app::APPS_MAX;
/// The most that the apps of one Site may take of its configuration, in bytes. A Secret holds 1 MiB, and the Site's own
/// part, with an address for each node, takes its share.
pub const APPS_MAX_BYTES: usize = 768 << 10;

/// The label of a slice with the name of its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Why something is not so: for programs and for people.
pub type Refusal = (Reason, String);

/// Everything, judged.
#[derive(Debug, Default)]
pub struct Judged {
    /// Sites in the order of age.
    pub sites: Vec<JudgedSite>,
    /// Apps that attach to no Site, and why.
    pub unattached_exposed: Vec<(Arc<ExposedApp>, Refusal)>,
    /// The same of remote apps.
    pub unattached_remote: Vec<(Arc<RemoteApp>, Refusal)>,
}

/// A Site with the apps that attach to it.
#[derive(Debug)]
pub struct JudgedSite {
    /// The Site.
    pub site: Arc<Site>,
    /// Whether it is valid.
    pub accepted: Result<(), Refusal>,
    /// What its Secrets hold.
    pub references: Result<References, Refusal>,
    /// Its exposed apps.
    pub exposed: Vec<JudgedExposedApp>,
    /// Its remote apps.
    pub remote: Vec<JudgedRemoteApp>,
    /// What its apps take of its configuration.
    taken: Share,
    /// Which of its exposed apps has a name.
    names: BTreeMap<String, Place>,
}

/// What is looked up for each app, put in order once.
struct Lookup<'a> {
    /// The slices of each Service.
    slices: BTreeMap<(&'a str, &'a str), Vec<&'a EndpointSlice>>,
    /// The uids of all remote apps.
    remote_apps: BTreeSet<&'a str>,
}

impl<'a> Lookup<'a> {
    fn new(known: &'a Snapshot) -> Self {
        let mut slices: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for slice in known.slices.values() {
            if let (Some(namespace), Some(service)) = (&slice.metadata.namespace, slice.labels().get(SERVICE_NAME)) {
                slices.entry((namespace.as_str(), service.as_str())).or_default().push(&**slice);
            }
        }
        let remote_apps = known.remote_apps.iter().filter_map(|app| app.metadata.uid.as_deref());
        Self { slices, remote_apps: remote_apps.collect() }
    }
}

/// What apps take of the configuration of a Site.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    apps: usize,
    sockets: usize,
    bytes: usize,
}

/// What the Secrets of a Site hold.
#[derive(Debug, PartialEq, Eq)]
pub struct References {
    /// The mesh keys.
    pub keys: MeshKeys,
    /// User and password for brokers.
    pub credentials: Option<Credentials>,
}

/// An exposed app of a Site.
#[derive(Debug)]
pub struct JudgedExposedApp {
    /// The app.
    pub app: Arc<ExposedApp>,
    /// Whether it is valid and may attach.
    pub accepted: Result<(), Refusal>,
    /// What it leads to.
    pub target: Result<Target, Refusal>,
}

/// A remote app of a Site.
#[derive(Debug)]
pub struct JudgedRemoteApp {
    /// The app.
    pub app: Arc<RemoteApp>,
    /// Whether it is valid and may attach.
    pub accepted: Result<(), Refusal>,
}

/// What an exposed app leads to, in the words of the agent's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Sockets by the name of their port.
    Sockets(Vec<(String, String)>),
    /// A range of addresses × ports.
    Range {
        /// Addresses or blocks.
        addresses: Vec<String>,
        /// Each `N` or `N-M`.
        ports: Vec<String>,
    },
}

/// Judges everything.
pub fn judge(known: &Snapshot, around: &Surroundings) -> Judged {
    let (mut judged, lookup) = (Judged::default(), Lookup::new(known));
    let mut places = BTreeMap::new();
    for site in &known.sites {
        places.insert(site.name_any(), judged.sites.len());
        judged.sites.push(site::judge(site, known, around));
    }
    for app in &known.exposed_apps {
        let attached = app.status.as_ref().and_then(|status| status.site.as_deref());
        match attach::attach(&app.spec.site_ref, attached, app.namespace(), known, around).map(|name| places[&name]) {
            Ok(place) => {
                let one = exposed_app::judge(app, &mut judged.sites[place], known, &lookup);
                judged.sites[place].exposed.push(one);
            }
            Err(refusal) => judged.unattached_exposed.push((app.clone(), refusal)),
        }
    }
    let mut services = BTreeMap::new();
    for app in &known.remote_apps {
        let attached = app.status.as_ref().and_then(|status| status.site.as_deref());
        match attach::attach(&app.spec.site_ref, attached, app.namespace(), known, around).map(|name| places[&name]) {
            Ok(place) => {
                let one = remote_app::judge(app, &mut judged.sites[place], known, &lookup, &mut services);
                judged.sites[place].remote.push(one);
            }
            Err(refusal) => judged.unattached_remote.push((app.clone(), refusal)),
        }
    }
    judged
}

impl JudgedSite {
    /// Finds room for one more app with these entries in the configuration.
    fn room<E: Serialize>(&self, entries: &[E], sockets: usize) -> Result<Share, Refusal> {
        let bytes = |entry: &E| serde_json::to_vec(entry).map_or(0, |bytes| bytes.len() + 1);
        let share = Share {
            apps: self.taken.apps + 1,
            sockets: self.taken.sockets + sockets,
            bytes: self.taken.bytes + entries.iter().map(bytes).sum::<usize>(),
        };
        let most = match share {
            Share { apps, .. } if apps > APPS_MAX => format!("{APPS_MAX} apps"),
            Share { sockets, .. } if sockets > SOCKETS_MAX => format!("{SOCKETS_MAX} ports of remote apps"),
            Share { bytes, .. } if bytes > APPS_MAX_BYTES => format!("{APPS_MAX_BYTES} bytes of apps"),
            _ => return Ok(share),
        };
        let name = self.site.name_any();
        let message = format!("Site {name} has no room for it beside its older apps: it takes at most {most}");
        Err((Reason::SiteFull, message))
    }
}
