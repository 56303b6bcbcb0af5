//! An IP address with a port.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// An IP address and a TCP port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct SocketAddress {
    /// IPv4 or IPv6 address. Host names are not supported.
    #[schemars(length(max = 45))]
    #[x_kube(validation = Rule::new("isIP(self)")
        .message("ip must be an IP address such as 10.0.0.5 or 2001:db8::5; host names are not supported"))]
    pub ip: String,
    /// TCP port at that address.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
}

impl std::fmt::Display for SocketAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.ip.contains(':') {
            true => write!(f, "[{}]:{}", self.ip, self.port),
            false => write!(f, "{}:{}", self.ip, self.port),
        }
    }
}
