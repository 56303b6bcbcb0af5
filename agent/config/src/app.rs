//! What a site lets others reach, and what it uses of others.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::key::SiteId;
use crate::name::{AppName, PortName, SiteName};
use crate::range::TargetRange;
use crate::socket::AppSocket;

/// How long a client waits for a far site before it is reset.
pub const CONNECT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);
/// The most clients of one remote app at a time (docs/protocol.md §6).
pub const CONNECTIONS_MAX_DEFAULT: u32 = 16_384;
/// How long a connector waits for the app to accept (docs/protocol.md §6).
pub const APP_DIAL_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest `connectTimeout`.
pub const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(300);
/// The longest `idleTimeout`.
pub const IDLE_TIMEOUT_MAX: Duration = Duration::from_secs(30 * 86_400);
/// The most providers of one remote app.
pub const PROVIDERS_MAX: usize = 16;
/// The most named ports of one exposed app.
pub const PORTS_MAX: usize = 64;
/// The weight of a provider that names none.
pub const WEIGHT_DEFAULT: u16 = 1;
/// The most apps of one configuration, exposed and remote counted apart.
pub const APPS_MAX: usize = 2_048;

/// An app of this site that other sites may reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExposedApp {
    /// Unique name at this site.
    pub name: AppName,
    /// Where the connector dials.
    pub target: Target,
    /// Who may use it.
    pub allowed_sites: AllowedSites,
    /// The most streams at a time; `None` is the agent's own limit only.
    pub max_connections: Option<u32>,
    /// Cut a stream without bytes in either direction for this long; `None` never.
    pub idle_timeout: Option<Duration>,
    /// How long to wait for the app to accept.
    pub connect_timeout: Duration,
    /// Whether the app is told the client's address first (PROXY protocol v2). The address is the peer site's claim.
    pub proxy_protocol: bool,
}

/// Where the connector dials for an exposed app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// One socket.
    Single(AppSocket),
    /// Several named ports, each with its own socket.
    Ports(Vec<(PortName, AppSocket)>),
    /// Any member of addresses × ports, chosen by the remote app.
    Range(TargetRange),
}

/// The sites that may use an exposed app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedSites {
    /// Every site of the mesh.
    All,
    /// These only.
    Only(BTreeSet<SiteReference>),
}

/// A site named by its label or by its key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SiteReference {
    /// By name; follows the key that the name is bound to.
    Name(SiteName),
    /// By site id.
    Id(SiteId),
}

impl AllowedSites {
    /// Tells whether the authenticated site `name` with the key `id` may use the app.
    pub fn admits(&self, name: &SiteName, id: &SiteId) -> bool {
        match self {
            Self::All => true,
            Self::Only(sites) => sites.iter().any(|site| match site {
                SiteReference::Name(allowed) => allowed == name,
                SiteReference::Id(allowed) => allowed == id,
            }),
        }
    }
}

/// An app of another site, given a local socket here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteApp {
    /// Who provides it; at least one.
    pub providers: Vec<Provider>,
    /// Which port of an app that has several.
    pub port: Option<PortName>,
    /// Which member of a range app.
    pub target: Option<AppSocket>,
    /// Where clients connect.
    pub local_socket: AppSocket,
    /// How long a client waits for a provider before it is reset.
    pub connect_timeout: Duration,
    /// Cut a stream without bytes in either direction for this long; `None` never.
    pub idle_timeout: Option<Duration>,
    /// The most clients at a time.
    pub max_connections: u32,
    /// The most clients of one IP address at a time; `None` as many as in all.
    pub max_connections_per_client: Option<u32>,
}

/// One provider of a remote app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// The site that exposes it.
    pub site: SiteName,
    /// Its name there.
    pub app: AppName,
    /// Lower is tried first.
    pub priority: u16,
    /// Share among providers of one priority; 0 only when no other is left.
    pub weight: u16,
}
