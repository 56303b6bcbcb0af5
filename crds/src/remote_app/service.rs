//! The Service of a remote app.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// The Service that clients use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Name of the Service. Default: the name of the RemoteApp. A Service that is not ours is never taken over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("service.name must be of a-z, 0-9 and -, start with a letter and end with a letter or digit"))]
    pub name: Option<String>,

    /// Type of the Service.
    #[serde(default, rename = "type")]
    pub type_: ServiceType,

    /// Annotations of the Service.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::annotations")]
    pub annotations: BTreeMap<String, String>,

    /// Which agents clients prefer; `kubectl explain` shows the description of the type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic_distribution: Option<TrafficDistribution>,
}

/// The type of a Service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    /// An address inside the cluster.
    #[default]
    ClusterIP,
    /// And a port of every node.
    NodePort,
    /// And an external load balancer.
    LoadBalancer,
}

impl ServiceType {
    /// Returns the type as it stands in a Service.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClusterIP => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
        }
    }
}

/// Which agents clients prefer: those of their node or of their zone. Default: any agent. Clusters before 1.34 know no
/// PreferSameNode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TrafficDistribution {
    /// The agent of the same node.
    PreferSameNode,
    /// Agents of the same zone.
    PreferSameZone,
}
