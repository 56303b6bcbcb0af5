//! ExposedApp: an app of this cluster that other sites may reach.

pub mod limits;
pub mod status;
pub mod target;

use kube::{CustomResource, KubeSchema, ResourceExt};
use serde::{Deserialize, Serialize};
use wovenet_config::name::NAME_MAX_BYTES;
use wovenet_config::socket::UNIX_PATH_MAX_BYTES;

use crate::address::SocketAddress;
use crate::condition::ConditionType;
use crate::reference::SiteReference;
use crate::unix_socket;

pub use limits::Limits;
pub use status::ExposedAppStatus;
pub use target::{RangeTarget, ServiceTarget};

/// The most entries of `allowedSites`.
pub const ALLOWED_SITES_MAX: usize = 256;

/// An app of this cluster that other sites may reach.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::duplicated_attributes, reason = "each column has its own priority")]
#[kube(
    group = "wovenet.io",
    version = "v1alpha1",
    kind = "ExposedApp",
    plural = "exposedapps",
    shortname = "xapp",
    category = "wovenet",
    namespaced,
    status = "ExposedAppStatus",
    derive = "PartialEq",
    selectable = ".spec.siteRef.name",
    doc = "ExposedApp lets other sites reach an app: a Service of its namespace, or what the Site permits beyond that.",
    printcolumn(
        name = "App",
        type_ = "string",
        json_path = ".status.appName",
        description = "The name by which other sites know the app."
    ),
    printcolumn(name = "Target", type_ = "string", json_path = ".status.target", description = "What is reached."),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether other sites can reach the app."
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
    )
)]
#[x_kube(
    validation = Rule::new("[has(self.service), has(self.address), has(self.unixSocket), has(self.range)] \
         .filter(given, given).size() == 1")
        .message("exactly one of service, address, unixSocket and range is required")
)]
pub struct ExposedAppSpec {
    /// The Site to attach to. Default: the only one; an app that is attached stays when another Site is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site_ref: Option<SiteReference>,

    /// Name by which other sites know the app, unique at this site. Default: the name of this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_MAX_BYTES))]
    pub app_name: Option<String>,

    /// A Service of the same namespace. One without selector, of type ExternalName, or with endpoints that are not pods
    /// of this namespace counts as addresses, which the Site must permit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceTarget>,

    /// An address and a port that the Site permits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddress>,

    /// Path of a unix socket on the nodes, in a directory that the Site permits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = UNIX_PATH_MAX_BYTES))]
    #[x_kube(validation = Rule::new(unix_socket::RULE).message(unix_socket::MESSAGE))]
    pub unix_socket: Option<String>,

    /// Addresses × ports that the Site permits; a RemoteApp chooses one of them by its `target`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<RangeTarget>,

    /// Names or ids of the sites that may use the app. `["*"]` is every site of the mesh.
    #[schemars(length(min = 1, max = ALLOWED_SITES_MAX), inner(length(min = 1, max = NAME_MAX_BYTES)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[x_kube(validation = Rule::new("!self.exists(s, s == '*') || self.size() == 1")
        .message("allowedSites has \"*\" beside names: write [\"*\"] for every site, or the names only"))]
    #[x_kube(validation = Rule::new("!self.exists(s, s.startsWith('wvp1_'))")
        .message("allowedSites must be names or ids of sites, not public keys"))]
    pub allowed_sites: Vec<String>,

    /// Limits of the streams of this app.
    #[serde(default)]
    pub limits: Limits,

    /// Tell the app the address of the client first, by PROXY protocol version 2. It is the other site's claim.
    #[serde(default)]
    pub proxy_protocol: bool,
}

impl ExposedApp {
    /// What must be true for Ready.
    pub const READY_NEEDS: &'static [ConditionType] =
        &[ConditionType::Accepted, ConditionType::ResolvedRefs, ConditionType::Programmed];

    /// Returns the name by which other sites know the app.
    pub fn app_name(&self) -> String {
        self.spec.app_name.clone().unwrap_or_else(|| self.name_any())
    }
}
