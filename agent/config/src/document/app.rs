//! Exposed and remote apps, as written.

use serde::{Deserialize, Serialize};

use super::text::DurationText;

/// What others may reach.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExposedApp {
    /// Unique name at this site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_name: Option<String>,
    /// `single` or `range`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// The socket of a single app.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_socket: Option<String>,
    /// The sockets of an app that has several named ports.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<AppPort>,
    /// The ports of a range app, each `N` or `N-M`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub port_range: Vec<String>,
    /// The addresses or blocks of a range app.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub address_range: Vec<String>,
    /// Names or key ids of the sites that may use it, or `*`; absent is every site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_sites: Option<Vec<String>>,
    /// The most connections at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<u64>,
    /// Silence after which a connection is cut; 0 is never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<DurationText>,
    /// How long to wait for the app to accept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_timeout: Option<DurationText>,
    /// Whether the app is told the client address by PROXY protocol v2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_protocol: Option<bool>,
}

/// One named port of an exposed app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AppPort {
    /// Unique name in the app.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_socket: Option<String>,
}

/// An app of another site with a local socket here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RemoteApp {
    /// The site that exposes it, when there is one provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site_name: Option<String>,
    /// Its name there, when there is one provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_name: Option<String>,
    /// The providers, when there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<Provider>,
    /// Where clients connect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_socket: Option<String>,
    /// Which member of a range app.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_socket: Option<String>,
    /// Which port of an app that has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// How long a client waits for a provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_timeout: Option<DurationText>,
    /// Silence after which a connection is cut; 0 is never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<DurationText>,
    /// The most clients at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<u64>,
    /// The most clients of one IP address at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connections_per_client: Option<u64>,
}

/// One provider of a remote app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Provider {
    /// The site that exposes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site_name: Option<String>,
    /// Its name there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_name: Option<String>,
    /// Lower is tried first; default 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u64>,
    /// Share among providers of one priority; default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u64>,
}
