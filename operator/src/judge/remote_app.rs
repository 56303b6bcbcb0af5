//! Judges a remote app.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::ResourceExt;
use wovenet_crds::RemoteApp;
use wovenet_crds::condition::Reason;
use wovenet_crds::remote_app::Port;

use super::{JudgedRemoteApp, JudgedSite, Refusal, exposed_app, site};
use crate::collect::{Place, Snapshot};
use crate::names::is_owned_by;
use crate::render::document;

/// What older remote apps have taken: Services by place, unix sockets by Site and path.
pub(super) type Taken = BTreeMap<Place, String>;

pub(super) fn judge(
    app: &Arc<RemoteApp>,
    attached: &JudgedSite,
    known: &Snapshot,
    taken: &mut Taken,
) -> JudgedRemoteApp {
    JudgedRemoteApp { app: app.clone(), accepted: accept(app, attached, known, taken) }
}

fn accept(app: &RemoteApp, attached: &JudgedSite, known: &Snapshot, taken: &mut Taken) -> Result<(), Refusal> {
    if attached.is_full() {
        return Err(attached.full());
    }
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
    let me = format!("{}/{}", app.namespace().unwrap_or_default(), app.name_any());
    if let Some(path) = &app.spec.unix_socket {
        exposed_app::permit_path(path, &attached.site)?;
        let place = (format!("unix socket of Site {}", attached.site.name_any()), path.clone());
        if let Some(other) = taken.get(&place) {
            return Err((Reason::PortConflict, format!("RemoteApp {other} is older and has the unix socket {path}")));
        }
        taken.insert(place, me.clone());
    }
    let Some(service) = app.service_name() else { return Ok(()) };
    let place = (app.namespace().unwrap_or_default(), service);
    if let Some(other) = taken.get(&place) {
        let message = format!("RemoteApp {other} is older and has the Service {}", place.1);
        return Err((Reason::NameConflict, message));
    }
    if let Some(existing) = known.services.get(&place)
        && !is_owned_by(&existing.metadata, app.metadata.uid.as_deref())
        && !belongs_to_remote_app(existing, known)
    {
        let message = format!("Service {} exists and is not of this RemoteApp: rename either", place.1);
        return Err((Reason::ServiceConflict, message));
    }
    taken.insert(place, me);
    Ok(())
}

/// Tells whether a Service was made for a remote app, be it one that wants it no longer: it is about to go.
fn belongs_to_remote_app(service: &k8s_openapi::api::core::v1::Service, known: &Snapshot) -> bool {
    known.remote_apps.iter().any(|app| is_owned_by(&service.metadata, app.metadata.uid.as_deref()))
}
