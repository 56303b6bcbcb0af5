//! The MQTT brokers through which sites find each other.

use std::path::PathBuf;

use crate::secret::SecretText;

/// The broker used when none is configured (as in wovenet).
pub const BROKER_DEFAULT: &str = "mqtt://mqtt.eclipseprojects.io:1883";
/// The most brokers of one site.
pub const BROKERS_MAX: usize = 8;

/// Brokers and the base topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mqtt {
    /// All are used at once; at least one.
    pub brokers: Vec<Broker>,
    /// Base topic without wildcards; `None` derives one from the mesh key.
    pub topic: Option<String>,
}

/// One broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// How to reach it.
    pub transport: BrokerTransport,
    /// Name or address, IPv6 without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Path and query for WebSockets, with the leading slash.
    pub path: String,
    /// User name and password.
    pub credentials: Option<(String, SecretText)>,
    /// PEM file with the certificate authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
}

/// How MQTT is carried to the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerTransport {
    /// `mqtt://`
    Tcp,
    /// `mqtts://`
    Tls,
    /// `ws://`
    WebSocket,
    /// `wss://`
    WebSocketTls,
}

impl Broker {
    /// Returns the broker as a URL without credentials, for logs and status.
    pub fn display_url(&self) -> String {
        let scheme = match self.transport {
            BrokerTransport::Tcp => "mqtt",
            BrokerTransport::Tls => "mqtts",
            BrokerTransport::WebSocket => "ws",
            BrokerTransport::WebSocketTls => "wss",
        };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{scheme}://{host}:{}{}", self.port, self.path)
    }
}
