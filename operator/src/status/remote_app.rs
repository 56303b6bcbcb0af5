//! Status of a remote app.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use wovenet_crds::condition::{ConditionType, Reason, Verdict};
use wovenet_crds::remote_app::{PortStatus, Provider};
use wovenet_crds::{RemoteApp, RemoteAppStatus};

use super::{Conditions, programmed, unwritten};
use crate::agent_report::{App, RemoteSite};
use crate::collect::Snapshot;
use crate::judge::{JudgedRemoteApp, Refusal};
use crate::names;
use crate::plan::{SitePlan, ports_of};
use crate::render::document;
use crate::render::remote_app::slice_name;

/// Tells the status of an app of a Site.
pub fn remote_app(one: &JudgedRemoteApp, plan: &SitePlan<'_>, known: &Snapshot, now: Timestamp) -> RemoteAppStatus {
    let app = &one.app;
    let mut conditions = conditions(app, now);
    conditions.accepted(ConditionType::Accepted, one.accepted.as_ref().map(|()| "attached"));
    let ports = ports_of(one, &plan.ports);
    if one.accepted.is_err() {
        pending(&mut conditions);
    } else {
        conditions.set(ConditionType::ResolvedRefs, &Verdict::holds(ConditionType::ResolvedRefs, "nothing is missing"));
        let listening = listening(one, plan, &ports).and_then(|()| written(app, known));
        let holds = || Verdict::holds(ConditionType::Programmed, "every ready agent listens");
        conditions.set(ConditionType::Programmed, &listening.map_or_else(|verdict| verdict, |()| holds()));
        conditions.set(ConditionType::Reachable, &reachable(app, plan));
    }
    let ports = ports.into_iter().map(|(name, listener_port)| PortStatus { name, listener_port });
    RemoteAppStatus {
        observed_generation: app.metadata.generation,
        conditions: conditions.summed_up(RemoteApp::READY_NEEDS),
        site: Some(plan.name()),
        service: one.accepted.is_ok().then(|| app.service_name()).flatten(),
        ports: ports.collect(),
    }
}

/// Tells the status of an app that attaches to no Site.
pub fn unattached_remote_app(app: &RemoteApp, refusal: &Refusal, now: Timestamp) -> RemoteAppStatus {
    let mut conditions = conditions(app, now);
    conditions.accepted(ConditionType::Accepted, Err(refusal));
    pending(&mut conditions);
    RemoteAppStatus {
        observed_generation: app.metadata.generation,
        conditions: conditions.summed_up(RemoteApp::READY_NEEDS),
        ..RemoteAppStatus::default()
    }
}

fn conditions(app: &RemoteApp, now: Timestamp) -> Conditions {
    let so_far = app.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    Conditions::of(so_far, app.metadata.generation, now)
}

fn pending(conditions: &mut Conditions) {
    for type_ in [ConditionType::ResolvedRefs, ConditionType::Programmed, ConditionType::Reachable] {
        conditions.set(type_, &Verdict::pending("not looked at: the app is not accepted"));
    }
}

/// Whether every ready agent listens.
fn listening(one: &JudgedRemoteApp, plan: &SitePlan<'_>, ports: &BTreeMap<String, u16>) -> Result<(), Verdict> {
    let complete = one.app.service().is_none() || ports.len() == one.app.spec.ports.len();
    if !complete && !plan.is_frozen() {
        let message = "the Site has no free listener port: widen its spec.listenerPorts";
        return Err(Verdict::fails(Reason::PortsExhausted, message));
    }
    programmed(plan, plan.remote_since(one).filter(|_| complete))?;
    for (_, socket) in document::local_sockets(&one.app, ports) {
        for agent in plan.agents.iter().filter(|agent| agent.ready) {
            let failed = agent.listener(&socket).filter(|listener| listener.state == "failed");
            if let Some(listener) = failed {
                let error = listener.error.clone().unwrap_or_default();
                let message = format!("the agent of node {} cannot listen on {socket}: {error}", agent.node());
                return Err(Verdict::fails(Reason::ListenFailed, message));
            }
        }
    }
    Ok(())
}

/// Whether its Service and the slices are there.
fn written(app: &RemoteApp, known: &Snapshot) -> Result<(), Verdict> {
    let Some(service) = app.service_name() else { return Ok(()) };
    let namespace = app.namespace().unwrap_or_default();
    let slices = ["IPv4", "IPv6"].map(|family| ("EndpointSlice", namespace.as_str(), slice_name(&service, family)));
    unwritten(known, [("Service", namespace.as_str(), service.clone())].into_iter().chain(slices))?;
    let found = known.services.get(&(namespace.clone(), service.clone()));
    match found.is_some_and(|found| names::is_owned_by(&found.metadata, app.metadata.uid.as_deref())) {
        true => Ok(()),
        false => Err(Verdict::fails(Reason::Pending, format!("Service {service} is being made"))),
    }
}

/// Whether a provider can be used; else what is wrong with the one that is nearest to it.
fn reachable(app: &RemoteApp, plan: &SitePlan<'_>) -> Verdict {
    let reports: Vec<_> = plan.agents.iter().filter_map(|agent| agent.report.as_ref()).collect();
    if reports.is_empty() {
        return Verdict::pending("no agent has told yet");
    }
    let known = || reports.iter().flat_map(|report| &report.sites);
    let mut worst: Option<(u8, Verdict)> = None;
    for provider in &app.spec.from {
        let of_provider: Vec<&RemoteSite> = known().filter(|site| site.site_name == provider.site_name).collect();
        let (rank, verdict) = judge(app, provider, &of_provider);
        if rank == 0 {
            return verdict;
        }
        if worst.as_ref().is_none_or(|(known, _)| rank < *known) {
            worst = Some((rank, verdict));
        }
    }
    worst.map_or_else(|| Verdict::pending("no provider is named"), |(_, verdict)| verdict)
}

/// Judges one provider: how far it is from being usable, 0 being usable, and why.
fn judge(app: &RemoteApp, provider: &Provider, sites: &[&RemoteSite]) -> (u8, Verdict) {
    let Provider { site_name, app_name, .. } = provider;
    if sites.is_empty() {
        let message = format!("nothing was heard of site {site_name}: is it up, with the same key and topic?");
        return (5, Verdict::fails(Reason::SiteUnknown, message));
    }
    let connected: Vec<&&RemoteSite> = sites.iter().filter(|site| !site.channels.is_empty()).collect();
    if connected.is_empty() {
        if sites.iter().any(|site| site.state == "nameConflict") {
            let message = format!("another key claims the name {site_name} than the one that this site knows it by");
            return (4, Verdict::fails(Reason::NoPath, message));
        }
        if sites.iter().all(|site| site.state == "versionMismatch") {
            let message = format!("site {site_name} speaks another version of the protocol: update the older one");
            return (4, Verdict::fails(Reason::VersionMismatch, message));
        }
        let message = format!("no channel to site {site_name} is up: one of the two sites must be reachable by UDP");
        return (4, Verdict::fails(Reason::NoPath, message));
    }
    let told: Vec<&App> =
        connected.iter().flat_map(|site| &site.apps).filter(|known| known.app_name == *app_name).collect();
    let Some(known) = told.first() else {
        let message = format!("site {site_name} does not expose {app_name} to this site: see allowedSites there");
        return (3, Verdict::fails(Reason::AppNotExposed, message));
    };
    if let Some(message) = mismatch(app, provider, known) {
        return (2, Verdict::fails(Reason::PortMismatch, message));
    }
    if !told.iter().any(|known| known.healthy) {
        let message = format!("site {site_name} says that {app_name} is unhealthy");
        return (1, Verdict::fails(Reason::AppUnhealthy, message));
    }
    (0, Verdict::holds(ConditionType::Reachable, format!("site {site_name} provides {app_name}")))
}

fn mismatch(app: &RemoteApp, provider: &Provider, known: &App) -> Option<String> {
    let of = format!("{} of site {}", provider.app_name, provider.site_name);
    if known.range != app.spec.target.is_some() {
        return Some(match known.range {
            true => format!("{of} is a range: choose a member in spec.target"),
            false => format!("{of} is no range: remove spec.target"),
        });
    }
    if known.ports.len() < 2 {
        return (app.spec.ports.len() > 1).then(|| format!("{of} has one port, spec.ports has several"));
    }
    let missing = app.spec.ports.iter().find(|port| !known.ports.contains(&port.name))?;
    Some(format!("{of} has no port {}: it has {}", missing.name, known.ports.join(", ")))
}
