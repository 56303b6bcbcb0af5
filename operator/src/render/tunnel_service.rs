//! How other sites reach a Site's agents: Services, and the tunnel sockets of the agents' configuration.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Node, Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use wovenet_config::document::{Detector, LocalSocket, NodeAddress, SecretValue, StunDetector};
use wovenet_crds::Site;
use wovenet_crds::site::{Expose, ExposeType};

use crate::collect::Snapshot;
use crate::names;

/// Renders the Services of a Site, one for each way that needs one.
pub fn services(site: &Site) -> Vec<Service> {
    let exposed = site.spec.expose.iter().enumerate();
    exposed.filter_map(|(index, expose)| service(site, index, expose)).collect()
}

fn service(site: &Site, index: usize, expose: &Expose) -> Option<Service> {
    let type_ = match expose.type_ {
        ExposeType::LoadBalancer => "LoadBalancer",
        ExposeType::NodePort => "NodePort",
        ExposeType::HostPort | ExposeType::HostNetwork => return None,
    };
    let name = site.name_any();
    let mut metadata = names::of_site(site, names::tunnel(&name, index));
    metadata.annotations = (!expose.annotations.is_empty()).then(|| expose.annotations.clone());
    Some(Service {
        metadata,
        spec: Some(ServiceSpec {
            type_: Some(type_.to_owned()),
            selector: Some(names::agent_selector(&name)),
            ports: Some(vec![ServicePort {
                name: Some("tunnel".to_owned()),
                port: i32::from(expose.port),
                target_port: Some(IntOrString::Int(i32::from(expose.port))),
                protocol: Some("UDP".to_owned()),
                node_port: expose.node_port.map(i32::from),
                ..ServicePort::default()
            }]),
            external_traffic_policy: Some(traffic_policy(expose).to_owned()),
            load_balancer_class: expose.load_balancer_class.clone(),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    })
}

/// One public address in front of several agents leads to any that is ready; the address of a node to its own agent.
fn traffic_policy(expose: &Expose) -> &'static str {
    let one_address = expose.public_address.is_some() || expose.detect.is_some();
    match expose.type_ {
        ExposeType::NodePort if one_address => "Cluster",
        _ => "Local",
    }
}

/// Renders the tunnel sockets; what cannot be announced yet comes second, in words for a person.
pub fn local_sockets(site: &Site, known: &Snapshot) -> (Vec<LocalSocket>, Vec<String>) {
    let (mut sockets, mut missing) = (Vec::new(), Vec::new());
    for (index, expose) in site.spec.expose.iter().enumerate() {
        match local_socket(site, index, expose, known) {
            Ok(socket) => sockets.push(socket),
            Err(what) => missing.push(what),
        }
    }
    (sockets, missing)
}

fn local_socket(site: &Site, index: usize, expose: &Expose, known: &Snapshot) -> Result<LocalSocket, String> {
    let namespace = site.namespace().unwrap_or_default();
    let name = names::tunnel(&site.name_any(), index);
    let service = known.services.get(&(namespace, name.clone()));
    let public_port = match expose.type_ {
        _ if expose.public_port.is_some() => expose.public_port,
        ExposeType::NodePort => node_port(service),
        _ => Some(expose.port),
    };
    let public_port = public_port.ok_or_else(|| format!("Service {name} has no node port yet"))?;
    let base = LocalSocket {
        mode: Some("port-forwarding".to_owned()),
        transport_protocol: Some("quic".to_owned()),
        public_port: Some(u64::from(public_port)),
        listen_port: Some(u64::from(expose.port)),
        scope: Some("site".to_owned()),
        ..LocalSocket::default()
    };
    if let Some(address) = &expose.public_address {
        return Ok(LocalSocket { public_address: Some(address.clone()), ..base });
    }
    if let Some(detect) = &expose.detect {
        return Ok(match &detect.http_url {
            Some(url) => LocalSocket {
                public_address: Some("autoHttpDetect".to_owned()),
                http_detector: Some(Detector { url: Some(SecretValue::new(url.clone())) }),
                ..base
            },
            None => LocalSocket {
                public_address: Some("autoStunDetect".to_owned()),
                stun_detector: Some(StunDetector { servers: detect.stun_servers.clone() }),
                ..base
            },
        });
    }
    if expose.type_ == ExposeType::LoadBalancer {
        let address = ingress(service).ok_or_else(|| format!("Service {name} has no external IP address yet"))?;
        return Ok(LocalSocket { public_address: Some(address), ..base });
    }
    let of_node = |(name, node): (&String, &std::sync::Arc<Node>)| NodeAddress {
        node_name: Some(name.clone()),
        address: node_address(node),
    };
    let node_addresses: Vec<_> = known.nodes.iter().map(of_node).filter(|node| node.address.is_some()).collect();
    if node_addresses.is_empty() {
        return Err("no node has an address yet that others could dial: set publicAddress".to_owned());
    }
    Ok(LocalSocket { node_addresses, scope: Some("agent".to_owned()), ..base })
}

fn node_port(service: Option<&std::sync::Arc<Service>>) -> Option<u16> {
    let port = service?.spec.as_ref()?.ports.as_ref()?.first()?.node_port?;
    u16::try_from(port).ok().filter(|port| *port != 0)
}

fn ingress(service: Option<&std::sync::Arc<Service>>) -> Option<String> {
    let ingress = service?.status.as_ref()?.load_balancer.as_ref()?.ingress.as_ref()?;
    ingress.iter().find_map(|one| one.ip.clone())
}

/// The address by which a node is reached from outside; else the one that its cluster knows.
fn node_address(node: &Node) -> Option<String> {
    let addresses = node.status.as_ref()?.addresses.as_ref()?;
    let of_type =
        |wanted: &str| addresses.iter().find(|one| one.type_ == wanted && one.address.parse::<IpAddr>().is_ok());
    of_type("ExternalIP").or_else(|| of_type("InternalIP")).map(|one| one.address.clone())
}
