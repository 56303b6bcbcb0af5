//! Judges an exposed app: what it leads to, and whether the Site permits that.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use ipnet::IpNet;
use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use wovenet_crds::condition::Reason;
use wovenet_crds::exposed_app::ServiceTarget;
use wovenet_crds::{ExposedApp, Site};

use super::{JudgedExposedApp, JudgedSite, Lookup, Refusal, Target, site};
use crate::collect::Snapshot;
use crate::render::document;

pub(super) fn judge(
    app: &Arc<ExposedApp>,
    attached: &mut JudgedSite,
    known: &Snapshot,
    lookup: &Lookup<'_>,
) -> JudgedExposedApp {
    let target = target(app, &attached.site, known, lookup);
    let (accepted, target) = match (accept(app, attached), target) {
        // What is not permitted is no matter of references.
        (Ok(()), Err(refusal)) if is_acceptance(refusal.0) => (Err(refusal.clone()), Err(refusal)),
        (Ok(()), Ok(target)) => (check(app, &attached.site, &target), Ok(target)),
        other => other,
    };
    let accepted = accepted.and_then(|()| take_room(app, attached, target.as_ref().ok()));
    if accepted.is_ok() {
        let place = (app.namespace().unwrap_or_default(), app.name_any());
        attached.names.insert(app.app_name(), place);
    }
    JudgedExposedApp { app: app.clone(), accepted, target }
}

fn accept(app: &ExposedApp, attached: &JudgedSite) -> Result<(), Refusal> {
    let name = app.app_name();
    match attached.names.get(&name) {
        None => Ok(()),
        Some((namespace, other)) => {
            let message = format!("ExposedApp {namespace}/{other} is older and has the app name {name}");
            Err((Reason::NameConflict, message))
        }
    }
}

/// An app whose target is still missing takes its room too: its coming must not drive out a younger one.
fn take_room(app: &ExposedApp, attached: &mut JudgedSite, target: Option<&Target>) -> Result<(), Refusal> {
    let nowhere = Target::Sockets(Vec::new());
    attached.taken = attached.room(&[document::exposed_app(app, target.unwrap_or(&nowhere))], 0)?;
    Ok(())
}

/// Judges the app as its agent would, alone: one that is wrong must hurt no other.
fn check(app: &ExposedApp, site: &Site, target: &Target) -> Result<(), Refusal> {
    let mut alone = site::plain(site);
    alone.local_exposed_apps = vec![document::exposed_app(app, target)];
    site::check(&alone).map_err(|problem| (Reason::Invalid, problem))
}

fn is_acceptance(reason: Reason) -> bool {
    matches!(reason, Reason::NotPermitted | Reason::Invalid)
}

fn target(app: &ExposedApp, site: &Site, known: &Snapshot, lookup: &Lookup<'_>) -> Result<Target, Refusal> {
    let spec = &app.spec;
    match (&spec.service, &spec.address, &spec.unix_socket, &spec.range) {
        (Some(service), None, None, None) => service_target(app, service, site, known, lookup),
        (None, Some(address), None, None) => {
            permit_block(&address.ip, site)?;
            Ok(Target::Sockets(vec![(String::new(), format!("tcp:{address}"))]))
        }
        (None, None, Some(path), None) => {
            permit_path(path, site)?;
            Ok(Target::Sockets(vec![(String::new(), format!("unix:{path}"))]))
        }
        (None, None, None, Some(range)) => {
            range.addresses.iter().try_for_each(|block| permit_block(block, site))?;
            let ports = range.ports.iter().map(|port| match port {
                IntOrString::Int(number) => number.to_string(),
                IntOrString::String(text) => text.clone(),
            });
            Ok(Target::Range { addresses: range.addresses.clone(), ports: ports.collect() })
        }
        _ => {
            let message = "exactly one of service, address, unixSocket and range is required".to_owned();
            Err((Reason::Invalid, message))
        }
    }
}

/// How many ports of a Service are told beside one that it lacks.
const PORTS_SHOWN_MAX: usize = 8;

fn service_target(
    app: &ExposedApp,
    wanted: &ServiceTarget,
    site: &Site,
    known: &Snapshot,
    lookup: &Lookup<'_>,
) -> Result<Target, Refusal> {
    let (namespace, name) = (app.namespace().unwrap_or_default(), &wanted.name);
    let place = (namespace.clone(), name.clone());
    let service = known
        .services
        .get(&place)
        .ok_or_else(|| (Reason::ServiceNotFound, format!("Service {name} does not exist in namespace {namespace}")))?;
    let spec = service.spec.clone().unwrap_or_default();
    if spec.type_.as_deref() == Some("ExternalName") {
        let message = format!(
            "Service {name} is an ExternalName, which leads anywhere: use spec.address with an IP that the Site permits"
        );
        return Err((Reason::NotPermitted, message));
    }
    let address = match spec.cluster_ip.as_deref() {
        None | Some("" | "None") => {
            let message = format!("Service {name} is headless: give the app a Service with a cluster IP");
            return Err((Reason::Invalid, message));
        }
        Some(address) => {
            address.parse::<IpAddr>().map_err(|_| (Reason::Invalid, format!("Service {name} has no IP")))?
        }
    };
    permit_endpoints(service, &namespace, site, known, lookup)?;
    let ports = spec.ports.unwrap_or_default();
    let sockets = wanted.ports.iter().map(|wanted| {
        let port =
            ports.iter().find(|port| is_meant(port, wanted)).ok_or_else(|| port_not_found(name, wanted, &ports))?;
        let socket = std::net::SocketAddr::new(address, port.port as u16);
        Ok((port.name.clone().unwrap_or_else(|| port.port.to_string()), format!("tcp:{socket}")))
    });
    sockets.collect::<Result<_, Refusal>>().map(Target::Sockets)
}

fn port_not_found(service: &str, wanted: &IntOrString, ports: &[ServicePort]) -> Refusal {
    let shown = |port: &ServicePort| match &port.name {
        Some(name) => format!("{name} ({})", port.port),
        None => port.port.to_string(),
    };
    let there: Vec<String> = ports.iter().filter(|port| is_tcp(port)).take(PORTS_SHOWN_MAX).map(shown).collect();
    let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
    (Reason::PortNotFound, format!("Service {service} has no TCP port {}; it has: {there}", text(wanted)))
}

fn is_tcp(port: &ServicePort) -> bool {
    matches!(port.protocol.as_deref(), None | Some("TCP"))
}

fn is_meant(port: &ServicePort, wanted: &IntOrString) -> bool {
    is_tcp(port)
        && match wanted {
            IntOrString::Int(number) => port.port == *number,
            IntOrString::String(name) => port.name.as_ref() == Some(name),
        }
}

fn text(port: &IntOrString) -> String {
    match port {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(name) => name.clone(),
    }
}

/// A Service leads wherever its endpoints say. Those that are no pods of its namespace are addresses like any other.
fn permit_endpoints(
    service: &Service,
    namespace: &str,
    site: &Site,
    known: &Snapshot,
    lookup: &Lookup<'_>,
) -> Result<(), Refusal> {
    let name = service.name_any();
    let slices = lookup.slices.get(&(namespace, name.as_str()));
    let addresses =
        slices.into_iter().flatten().flat_map(|slice| &slice.endpoints).flat_map(|endpoint| &endpoint.addresses);
    let selects = service.spec.as_ref().and_then(|spec| spec.selector.as_ref()).is_some_and(|map| !map.is_empty());
    for address in addresses {
        let own_pod = selects && known.is_pod_address(namespace, address);
        if !own_pod && permit_block(address, site).is_err() {
            let what = match selects {
                true => "that is no pod of its namespace",
                false => "of somebody's choice, as it has no selector,",
            };
            // The address itself is not told: it may not be the tenant's to know.
            let message = format!("Service {name} leads to an address {what} and that the Site does not permit");
            return Err((Reason::NotPermitted, message));
        }
    }
    Ok(())
}

fn permit_block(block: &str, site: &Site) -> Result<(), Refusal> {
    let wanted = network(block).ok_or_else(|| (Reason::Invalid, format!("{block} is no IP address and no block")))?;
    let permitted = site.spec.permissions.addresses.iter().filter_map(|text| network(text));
    match permitted.into_iter().any(|permitted| permitted.contains(&wanted)) {
        true => Ok(()),
        false => {
            let message =
                format!("Site {} does not permit {block}: see its spec.permissions.addresses", site.name_any());
            Err((Reason::NotPermitted, message))
        }
    }
}

fn network(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from)).map(|network| network.trunc())
}

/// Permits a unix socket in one of the Site's directories.
pub(super) fn permit_path(path: &str, site: &Site) -> Result<(), Refusal> {
    let path = Path::new(path);
    let plain = path.components().all(|part| !matches!(part, std::path::Component::ParentDir));
    let directories = &site.spec.permissions.unix_socket_directories;
    match plain && directories.iter().any(|directory| path.starts_with(directory) && path != Path::new(directory)) {
        true => Ok(()),
        false => {
            let message = format!(
                "Site {} does not permit {}: see its spec.permissions.unixSocketDirectories",
                site.name_any(),
                path.display()
            );
            Err((Reason::NotPermitted, message))
        }
    }
}
