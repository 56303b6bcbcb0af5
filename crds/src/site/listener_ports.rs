//! The ports on which agents listen for RemoteApps.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// The first port of the pool.
pub const FIRST_DEFAULT: u16 = 20_000;
/// The last port of the pool, which lies below node ports and the ports that Linux picks for outgoing connections.
pub const LAST_DEFAULT: u16 = 24_999;

/// A pool of TCP ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("self.first <= self.last").message("listenerPorts: first must not be greater than last")
)]
pub struct ListenerPorts {
    /// First port of the pool.
    #[serde(default = "first")]
    #[schemars(range(min = 1024, max = 65535))]
    pub first: u16,
    /// Last port of the pool.
    #[serde(default = "last")]
    #[schemars(range(min = 1024, max = 65535))]
    pub last: u16,
}

impl Default for ListenerPorts {
    fn default() -> Self {
        Self { first: first(), last: last() }
    }
}

fn first() -> u16 {
    FIRST_DEFAULT
}

fn last() -> u16 {
    LAST_DEFAULT
}
