//! How other sites reach the tunnel port of a Site.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wovenet_config::tunnel::{STUN_SERVERS_MAX, TUNNEL_PORT};

use crate::schema;

/// One way to reach the tunnel port of the agents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.publicAddress) && has(self.detect))")
        .message("publicAddress and detect exclude each other: write the address, or how it is found out"),
    validation = Rule::new("!has(self.nodePort) || self.type == 'NodePort'")
        .message("nodePort goes with type NodePort only"),
    validation = Rule::new("!has(self.loadBalancerClass) || self.type == 'LoadBalancer'")
        .message("loadBalancerClass goes with type LoadBalancer only"),
    validation = Rule::new("!has(self.annotations) || self.type == 'LoadBalancer' || self.type == 'NodePort'")
        .message("annotations go with type LoadBalancer or NodePort only, which have a Service"),
)]
pub struct Expose {
    /// LoadBalancer: a Service of that type. NodePort: a port of every node, by a Service. HostPort: a port of each node
    /// with an agent, forwarded to it. HostNetwork: agents use the network of their node, which is fastest. The last two
    /// need a namespace that allows privileged pods.
    #[serde(rename = "type")]
    pub type_: ExposeType,

    /// IP address that other sites dial. Default: that of the load balancer, or the external addresses of the nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 45))]
    #[x_kube(validation = Rule::new("isIP(self)")
        .message("publicAddress must be an IP address such as 203.0.113.7 or 2001:db8::7"))]
    pub public_address: Option<String>,

    /// UDP port that other sites dial, when it differs: behind a router that forwards it. Default: the port of the
    /// Service or the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub public_port: Option<u16>,

    /// How agents find out the public address, when it is not fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detect: Option<Detect>,

    /// UDP port on which agents listen; of the node with HostPort and HostNetwork, of the Service with LoadBalancer.
    #[serde(default = "port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,

    /// Port of the nodes, with type NodePort. Default: one that Kubernetes chooses and keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub node_port: Option<u16>,

    /// Annotations of the Service, which tell a cloud how to make the load balancer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::annotations")]
    pub annotations: BTreeMap<String, String>,

    /// Class of the load balancer, with type LoadBalancer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 317))]
    pub load_balancer_class: Option<String>,
}

fn port() -> u16 {
    TUNNEL_PORT
}

/// How a Site is exposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ExposeType {
    /// A Service of type LoadBalancer.
    LoadBalancer,
    /// A Service of type NodePort.
    NodePort,
    /// A port of the node that is forwarded to its agent.
    HostPort,
    /// The agent uses the network of its node.
    HostNetwork,
}

/// How agents find out the public address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.httpUrl) != has(self.stunServers)")
        .message("detect needs exactly one of httpUrl and stunServers")
)]
pub struct Detect {
    /// Web page that answers with the address of its caller, `http://` or `https://`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    #[x_kube(validation = Rule::new("self.matches('^https?://[^/@?#]+([/?#].*)?$')")
        .message("httpUrl must be a URL such as https://ip.example.com, without user and password"))]
    pub http_url: Option<String>,

    /// STUN servers, each `host:port` or `host` (port 3478).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = STUN_SERVERS_MAX), inner(length(max = 262)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[x_kube(validation = Rule::new(r"self.all(s, s.matches('^([A-Za-z0-9._-]+|\\[[0-9A-Fa-f:.]+\\])(:[0-9]{1,5})?$'))")
        .message("stunServers must be host:port, such as stun.example.com:3478 or [2001:db8::1]:3478"))]
    pub stun_servers: Vec<String>,
}
