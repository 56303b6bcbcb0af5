//! A site that is known beforehand.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use wovenet_config::name::NAME_MAX_BYTES;
use wovenet_config::peer::PEER_ADDRESSES_MAX;

/// A site that is known by its public key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Peer {
    /// Name of that site.
    #[schemars(length(min = 1, max = NAME_MAX_BYTES))]
    pub site_name: String,

    /// Public key of that site (`wvp1_…`), as it shows in its status.
    #[schemars(length(max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^wvp1_[a-z2-7]{58}$')")
        .message("publicKey must be wvp1_ and 58 characters, as the site shows in its status"))]
    pub public_key: String,

    /// Where it can be dialled, each `host:port` or `host` (port 51820). Empty: it dials, or is found by the brokers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = PEER_ADDRESSES_MAX), inner(length(max = 262)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[x_kube(validation = Rule::new(
        r"self.all(a, isIP(a) || a.matches('^([A-Za-z0-9._-]+|\\[[0-9A-Fa-f:.]+\\])(:[0-9]{1,5})?$'))")
        .message("addresses must be host:port, such as gw.example.com:51820 or [2001:db8::1]:51820"))]
    pub addresses: Vec<String>,
}
