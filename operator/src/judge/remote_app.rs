//! Judges a remote app.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use wovenet_crds::RemoteApp;
use wovenet_crds::condition::Reason;
use wovenet_crds::remote_app::Port;

use super::{JudgedRemoteApp, JudgedSite, Lookup, Refusal, Share, exposed_app, site};
use crate::collect::{Place, Snapshot};
use crate::names::is_ours;
use crate::render::document;
use crate::render::remote_app::slice_name;

/// What older remote apps have taken: Services by place, unix sockets by Site and path.
pub(super) type Taken = BTreeMap<Place, String>;

pub(super) fn judge(
    app: &Arc<RemoteApp>,
    attached: &mut JudgedSite,
    known: &Snapshot,
    lookup: &Lookup<'_>,
    taken: &mut Taken,
) -> JudgedRemoteApp {
    JudgedRemoteApp { app: app.clone(), accepted: accept(app, attached, known, lookup, taken) }
}

fn accept(
    app: &RemoteApp,
    attached: &mut JudgedSite,
    known: &Snapshot,
    lookup: &Lookup<'_>,
    taken: &mut Taken,
) -> Result<(), Refusal> {
    let share = check(app, attached)?;
    let socket = app.spec.unix_socket.clone();
    let socket = socket.map(|path| (format!("unix socket of Site {}", attached.site.name_any()), path));
    if let Some(place @ (_, path)) = &socket {
        exposed_app::permit_path(path, &attached.site)?;
        if let Some(other) = taken.get(place) {
            return Err((Reason::PortConflict, format!("RemoteApp {other} is older and has the unix socket {path}")));
        }
    }
    let service = app.service_name().map(|service| (app.namespace().unwrap_or_default(), service));
    if let Some(place) = &service {
        if let Some(other) = taken.get(place) {
            let message = format!("RemoteApp {other} is older and has the Service {}", place.1);
            return Err((Reason::NameConflict, message));
        }
        nothing_foreign(place, known, lookup)?;
    }
    let me = format!("{}/{}", app.namespace().unwrap_or_default(), app.name_any());
    taken.extend(socket.into_iter().chain(service).map(|place| (place, me.clone())));
    attached.taken = share;
    Ok(())
}

/// Judges the app as its agent would, alone, and finds room for it.
fn check(app: &RemoteApp, attached: &JudgedSite) -> Result<Share, Refusal> {
    let own = attached.site.site_name();
    if app.spec.from.iter().any(|provider| provider.site_name == own) {
        return Err((Reason::Invalid, "spec.from names this site itself: use its Service instead".to_owned()));
    }
    // Any port will do to judge the rest.
    let ports =
        app.spec.ports.iter().zip(1..).map(|(port, number): (&Port, u16)| (port.name.clone(), number)).collect();
    let mut alone = site::plain(&attached.site);
    alone.remote_apps = document::remote_app(app, &ports);
    site::check(&alone).map_err(|problem| (Reason::Invalid, problem))?;
    attached.room(&alone.remote_apps, alone.remote_apps.len())
}

/// Where the Service and its slices are to be, nothing may be that somebody else made. What was made for another remote app
/// that wants it no longer is about to go.
fn nothing_foreign(place: &Place, known: &Snapshot, lookup: &Lookup<'_>) -> Result<(), Refusal> {
    let is_foreign = |metadata: &ObjectMeta| {
        let owners = metadata.owner_references.as_deref().unwrap_or_default();
        !is_ours(metadata) || !owners.iter().any(|owner| lookup.remote_apps.contains(owner.uid.as_str()))
    };
    let conflict = |what: &str, name: &str| {
        (Reason::ServiceConflict, format!("{what} {name} exists and is not of this RemoteApp: rename either"))
    };
    if known.services.get(place).is_some_and(|service| is_foreign(&service.metadata)) {
        return Err(conflict("Service", &place.1));
    }
    for name in ["IPv4", "IPv6"].map(|family| slice_name(&place.1, family)) {
        let slice = known.slices.get(&(place.0.clone(), name.clone()));
        if slice.is_some_and(|slice| is_foreign(&slice.metadata)) {
            return Err(conflict("EndpointSlice", &name));
        }
    }
    Ok(())
}
