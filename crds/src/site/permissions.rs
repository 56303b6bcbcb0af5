//! What apps may target beyond Services of their own namespace.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// The most permitted address blocks.
pub const ADDRESSES_MAX: usize = 256;
/// The most permitted directories.
pub const DIRECTORIES_MAX: usize = 16;

/// Targets that the owner of the Site permits to all apps that may attach.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Permissions {
    /// Address blocks that ExposedApps may target, such as `10.0.2.0/24` or `10.0.2.5`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = ADDRESSES_MAX), inner(length(max = 49)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[x_kube(validation = Rule::new("self.all(a, isCIDR(a) || isIP(a))")
        .message("addresses must be address blocks such as 10.0.2.0/24 or 2001:db8::/64, or single addresses"))]
    pub addresses: Vec<String>,

    /// Directories of the nodes whose unix sockets apps may use. They are mounted into the agents, so that a change
    /// restarts them, and the namespace must allow privileged pods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = DIRECTORIES_MAX), inner(length(max = 100)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[x_kube(validation = Rule::new("self.all(d, d.matches('^(/[A-Za-z0-9_@+=.-]+)+$') && !d.matches('/[.][.]?(/|$)'))")
        .message("unixSocketDirectories must be absolute paths such as /run/app, without . and .., and not the root"))]
    pub unix_socket_directories: Vec<String>,
}
