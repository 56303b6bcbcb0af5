//! RemoteApp: an exposed app of another site, given a Service here.

pub mod limits;
pub mod port;
pub mod provider;
mod rules;
pub mod service;
pub mod status;

use kube::{CustomResource, KubeSchema, ResourceExt};
use serde::{Deserialize, Serialize};
use wovenet_config::app::{PORTS_MAX, PROVIDERS_MAX};
use wovenet_config::socket::UNIX_PATH_MAX_BYTES;

use crate::address::SocketAddress;
use crate::condition::ConditionType;
use crate::reference::SiteReference;
use crate::unix_socket;

pub use limits::Limits;
pub use port::{Port, Protocol};
pub use provider::Provider;
pub use service::{Service, ServiceType, TrafficDistribution};
pub use status::{PortStatus, RemoteAppStatus};

/// An exposed app of another site, given a Service here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "wovenet.io",
    version = "v1alpha1",
    kind = "RemoteApp",
    plural = "remoteapps",
    shortname = "rapp",
    category = "wovenet",
    namespaced,
    status = "RemoteAppStatus",
    derive = "PartialEq",
    selectable = ".spec.siteRef.name",
    doc = "RemoteApp gives an exposed app of another site a Service here, so that its name resolves as if local.",
    printcolumn(
        name = "From",
        type_ = "string",
        json_path = ".spec.from[0].siteName",
        description = "The site that exposes the app; the first of several."
    ),
    printcolumn(
        name = "App",
        type_ = "string",
        json_path = ".spec.from[0].appName",
        description = "The name of the app there."
    ),
    printcolumn(
        name = "Service",
        type_ = "string",
        json_path = ".status.service",
        description = "The Service that clients use."
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether clients can use the app."
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "Why they cannot."
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Site",
        type_ = "string",
        json_path = ".status.site",
        priority = 1,
        description = "The Site that the app is attached to."
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1,
        description = "What to do about it."
    ),
    validation = rules::object_name()
)]
#[x_kube(
    validation = Rule::new("!has(self.target) || self.ports.size() == 1")
        .message("target needs exactly one entry under ports: it names one port of the range app"),
    validation = Rule::new("!has(self.unixSocket) || self.ports.size() == 1")
        .message("unixSocket needs exactly one entry under ports: a unix socket has no ports"),
)]
pub struct RemoteAppSpec {
    /// The Site to attach to. Default: the only one; an app that is attached stays when another Site is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site_ref: Option<SiteReference>,

    /// Providers of the app. Those with the smallest priority that work share the clients by their weights.
    #[schemars(length(min = 1, max = PROVIDERS_MAX))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["siteName".into(), "appName".into()]))]
    pub from: Vec<Provider>,

    /// Ports of the app, as clients here see them. What providers say is only checked against this list.
    #[schemars(length(min = 1, max = PORTS_MAX))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[x_kube(validation = Rule::new("self.all(p, self.exists_one(q, q.port == p.port && q.protocol == p.protocol))")
        .message("ports must be different: two entries have the same port"))]
    pub ports: Vec<Port>,

    /// Which member of a range app is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<SocketAddress>,

    /// The Service that clients use. Default, without unixSocket: a ClusterIP Service with the name of this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,

    /// Path of a unix socket that agents make on their nodes, in a directory that the Site permits. May stand beside
    /// `service`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = UNIX_PATH_MAX_BYTES))]
    #[x_kube(validation = Rule::new(unix_socket::RULE).message(unix_socket::MESSAGE))]
    pub unix_socket: Option<String>,

    /// Limits of the clients of this app.
    #[serde(default)]
    pub limits: Limits,
}

impl RemoteApp {
    /// What must be true for Ready.
    pub const READY_NEEDS: &'static [ConditionType] =
        &[ConditionType::Accepted, ConditionType::ResolvedRefs, ConditionType::Programmed, ConditionType::Reachable];

    /// Returns the Service that is wanted; `None` when clients use the unix socket only.
    pub fn service(&self) -> Option<Service> {
        match (&self.spec.service, &self.spec.unix_socket) {
            (Some(service), _) => Some(service.clone()),
            (None, Some(_)) => None,
            (None, None) => Some(Service::default()),
        }
    }

    /// Returns the name of the Service that is wanted.
    pub fn service_name(&self) -> Option<String> {
        self.service().map(|service| service.name.unwrap_or_else(|| self.name_any()))
    }
}
