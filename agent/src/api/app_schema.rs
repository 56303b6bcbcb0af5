//! How apps are written, for the API document. The types themselves are the configuration's; a test compares the keys.

use utoipa::ToSchema;

/// What others may reach, as in `localExposedApps` of the configuration.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code, reason = "only its shape is used")]
pub(super) struct ExposedApp {
    /// Unique name at this site.
    app_name: String,
    /// `single` or `range`.
    mode: Option<String>,
    /// The socket of a single app.
    app_socket: Option<String>,
    /// The sockets of an app that has several named ports.
    ports: Option<Vec<AppPort>>,
    /// The ports of a range app, each `N` or `N-M`.
    port_range: Option<Vec<String>>,
    /// The addresses or blocks of a range app.
    address_range: Option<Vec<String>>,
    /// Names or key ids of the sites that may use it, or `*`; absent is every site.
    allowed_sites: Option<Vec<String>>,
    /// The most connections at a time.
    max_connections: Option<u32>,
    /// Silence after which a connection is cut, such as `5m`; 0 is never.
    idle_timeout: Option<String>,
    /// How long to wait for the app to accept, such as `10s`.
    connect_timeout: Option<String>,
    /// Whether the app is told the client address by PROXY protocol v2.
    proxy_protocol: Option<bool>,
}

/// One named port of an exposed app.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code, reason = "only its shape is used")]
pub(super) struct AppPort {
    /// Unique name in the app.
    name: String,
    /// Its socket.
    app_socket: String,
}

/// An app of another site with a local socket here, as in `remoteApps` of the configuration.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code, reason = "only its shape is used")]
pub(super) struct RemoteApp {
    /// The site that exposes it, when there is one provider.
    site_name: Option<String>,
    /// Its name there, when there is one provider.
    app_name: Option<String>,
    /// The providers, when there are several.
    providers: Option<Vec<Provider>>,
    /// Where clients connect.
    local_socket: String,
    /// Which member of a range app.
    app_socket: Option<String>,
    /// Which port of an app that has several.
    port: Option<String>,
    /// How long a client waits for a provider, such as `5s`.
    connect_timeout: Option<String>,
    /// Silence after which a connection is cut, such as `5m`; 0 is never.
    idle_timeout: Option<String>,
    /// The most clients at a time.
    max_connections: Option<u32>,
    /// The most clients of one IP address at a time.
    max_connections_per_client: Option<u32>,
}

/// One provider of a remote app.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code, reason = "only its shape is used")]
pub(super) struct Provider {
    /// The site that exposes it.
    site_name: String,
    /// Its name there.
    app_name: String,
    /// Lower is tried first; default 0.
    priority: Option<u16>,
    /// Share among providers of one priority; default 1.
    weight: Option<u16>,
}
