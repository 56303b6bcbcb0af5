//! The Service of a remote app and its EndpointSlices.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{ObjectReference, Pod, Service, ServicePort, ServiceSpec};
use k8s_openapi::api::discovery::v1::{
    Endpoint, EndpointConditions, EndpointHints, EndpointPort, EndpointSlice, ForNode, ForZone,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use wovenet_crds::RemoteApp;
use wovenet_crds::remote_app::TrafficDistribution;

use crate::names;

/// The most endpoints of one slice.
pub const ENDPOINTS_MAX: usize = 1_000;

/// An agent that serves a remote app.
#[derive(Clone, Debug)]
pub struct ServingAgent<'a> {
    /// Its pod.
    pub pod: &'a Pod,
    /// The zone of its node.
    pub zone: Option<String>,
}

/// Renders the Service; `None` when the app has none.
pub fn service(app: &RemoteApp, site: &str, ports: &BTreeMap<String, u16>) -> Option<Service> {
    let wanted = app.service()?;
    let mut metadata = of_app(app, app.service_name()?, site);
    metadata.annotations = (!wanted.annotations.is_empty()).then(|| wanted.annotations.clone());
    let service_ports = app.spec.ports.iter().filter_map(|port| {
        Some(ServicePort {
            name: Some(port.name.clone()),
            port: i32::from(port.port),
            target_port: Some(IntOrString::Int(i32::from(*ports.get(&port.name)?))),
            protocol: Some("TCP".to_owned()),
            ..ServicePort::default()
        })
    });
    Some(Service {
        metadata,
        spec: Some(ServiceSpec {
            type_: Some(wanted.type_.as_str().to_owned()),
            ports: Some(service_ports.collect()),
            ip_family_policy: Some("PreferDualStack".to_owned()),
            traffic_distribution: wanted.traffic_distribution.map(|distribution| match distribution {
                TrafficDistribution::PreferSameNode => "PreferSameNode".to_owned(),
                // Its name before 1.34, which later versions know too (KEP-3015).
                TrafficDistribution::PreferSameZone => "PreferClose".to_owned(),
            }),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    })
}

/// Renders the slices: one for each IP family that the Service has, with the agents that serve now.
pub fn slices(
    app: &RemoteApp,
    site: &str,
    ports: &BTreeMap<String, u16>,
    families: &[String],
    agents: &[ServingAgent<'_>],
) -> Vec<EndpointSlice> {
    let Some(service) = app.service_name() else { return Vec::new() };
    let families: Vec<&str> = match families {
        [] => vec!["IPv4"],
        families => families.iter().map(String::as_str).collect(),
    };
    families.into_iter().map(|family| slice(app, site, &service, ports, family, agents)).collect()
}

/// Returns the name of the slice of a Service in one IP family.
pub fn slice_name(service: &str, family: &str) -> String {
    format!("{service}-wovenet-{}", family.to_ascii_lowercase())
}

fn slice(
    app: &RemoteApp,
    site: &str,
    service: &str,
    ports: &BTreeMap<String, u16>,
    family: &str,
    agents: &[ServingAgent<'_>],
) -> EndpointSlice {
    let mut metadata = of_app(app, slice_name(service, family), site);
    let labels = metadata.labels.get_or_insert_default();
    labels.insert("kubernetes.io/service-name".to_owned(), service.to_owned());
    labels.insert(names::SLICE_MANAGED_BY.0.to_owned(), names::SLICE_MANAGED_BY.1.to_owned());
    let distribution = app.service().and_then(|service| service.traffic_distribution);
    let slice_ports = app.spec.ports.iter().filter_map(|port| {
        Some(EndpointPort {
            name: Some(port.name.clone()),
            port: Some(i32::from(*ports.get(&port.name)?)),
            protocol: Some("TCP".to_owned()),
            ..EndpointPort::default()
        })
    });
    EndpointSlice {
        metadata,
        address_type: family.to_owned(),
        ports: Some(slice_ports.collect()),
        endpoints: agents
            .iter()
            .filter_map(|agent| endpoint(agent, family, distribution))
            .take(ENDPOINTS_MAX)
            .collect(),
    }
}

fn endpoint(agent: &ServingAgent<'_>, family: &str, distribution: Option<TrafficDistribution>) -> Option<Endpoint> {
    let node = agent.pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    let hints = match (distribution, &node, &agent.zone) {
        (Some(TrafficDistribution::PreferSameNode), Some(node), zone) => Some(EndpointHints {
            for_nodes: Some(vec![ForNode { name: node.clone() }]),
            for_zones: zone.clone().map(|name| vec![ForZone { name }]),
        }),
        (Some(TrafficDistribution::PreferSameZone), _, Some(zone)) => {
            Some(EndpointHints { for_zones: Some(vec![ForZone { name: zone.clone() }]), for_nodes: None })
        }
        _ => None,
    };
    Some(Endpoint {
        addresses: vec![address(agent.pod, family)?],
        conditions: Some(EndpointConditions { ready: Some(true), serving: Some(true), terminating: Some(false) }),
        node_name: node,
        zone: agent.zone.clone(),
        hints,
        target_ref: Some(ObjectReference {
            kind: Some("Pod".to_owned()),
            name: agent.pod.metadata.name.clone(),
            namespace: agent.pod.metadata.namespace.clone(),
            uid: agent.pod.metadata.uid.clone(),
            ..ObjectReference::default()
        }),
        ..Endpoint::default()
    })
}

/// Returns the address of a pod in one IP family.
pub fn address(pod: &Pod, family: &str) -> Option<String> {
    let addresses = pod.status.as_ref()?.pod_ips.as_ref()?;
    let fits =
        |address: &String| address.parse::<IpAddr>().is_ok_and(|address| address.is_ipv4() == (family == "IPv4"));
    addresses.iter().map(|one| one.ip.clone()).find(fits)
}

fn of_app(app: &RemoteApp, name: String, site: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: app.namespace(),
        labels: Some(names::labels(site)),
        owner_references: Some(names::owned_by(app)),
        ..ObjectMeta::default()
    }
}
