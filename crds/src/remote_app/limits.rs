//! Limits of the clients of a remote app.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use wovenet_config::app::CONNECTIONS_MAX_DEFAULT;

use crate::duration;

/// How long a client waits for a provider before it is reset.
pub const CONNECT_TIMEOUT_DEFAULT: &str = "5s";

/// How many clients there may be, and how long they may wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Most clients at a time, for each agent.
    #[serde(default = "max_connections")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_connections: u32,

    /// Most clients of one IP address at a time, for each agent. Default: as many as in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_connections_per_client: Option<u32>,

    /// Silence after which a connection is cut, such as 90s or 1h30m. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = duration::TEXT_MAX))]
    #[x_kube(validation = Rule::new(duration::IDLE_RULE).message(duration::IDLE_MESSAGE))]
    pub idle_timeout: Option<String>,

    /// How long a client waits for a provider before it is reset, 1ms to 5m.
    #[serde(default = "connect_timeout")]
    #[schemars(length(max = duration::TEXT_MAX))]
    #[x_kube(validation = Rule::new(duration::CONNECT_RULE).message(duration::CONNECT_MESSAGE))]
    pub connect_timeout: String,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: max_connections(),
            max_connections_per_client: None,
            idle_timeout: None,
            connect_timeout: connect_timeout(),
        }
    }
}

fn max_connections() -> u32 {
    CONNECTIONS_MAX_DEFAULT
}

fn connect_timeout() -> String {
    CONNECT_TIMEOUT_DEFAULT.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_wait_is_that_of_the_agent() {
        let parsed = wovenet_config::duration::parse_duration(CONNECT_TIMEOUT_DEFAULT);
        assert_eq!(parsed, Ok(wovenet_config::app::CONNECT_TIMEOUT_DEFAULT));
    }
}
