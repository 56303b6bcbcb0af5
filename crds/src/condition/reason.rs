//! Why a condition has its status, as one word that programs can rely on.

/// Why a condition has its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Accepted is true.
    Accepted,
    /// Accepted is false: a value is wrong in a way that the schema cannot tell.
    Invalid,
    /// Accepted is false: the Site does not exist.
    SiteNotFound,
    /// Accepted is false: no Site is named, and there is not exactly one.
    AmbiguousSite,
    /// Accepted is false: the Site does not allow apps of this namespace.
    NamespaceNotAllowed,
    /// Accepted is false: the Site does not permit this target or directory.
    NotPermitted,
    /// Accepted is false: an older object has the same name.
    NameConflict,
    /// Accepted is false: an older object has the same port.
    PortConflict,
    /// Accepted is false: a Service of that name exists and is not ours.
    ServiceConflict,
    /// Accepted is false: the Site has as many apps as it can.
    SiteFull,

    /// ResolvedRefs is true.
    ResolvedRefs,
    /// ResolvedRefs is false: a Secret does not exist.
    SecretNotFound,
    /// ResolvedRefs is false: a Secret lacks a key, or holds something else.
    SecretMalformed,
    /// ResolvedRefs is false: the Service does not exist.
    ServiceNotFound,
    /// ResolvedRefs is false: the Service has no such port.
    PortNotFound,

    /// Programmed is true.
    Programmed,
    /// Programmed is false, or anything is unknown: it takes its course.
    Pending,
    /// Programmed is false: no agent is ready, or some lag behind.
    AgentsNotReady,
    /// Programmed is false: an agent could not bind the listener.
    ListenFailed,
    /// Programmed is false: the Site has no free listener port.
    PortsExhausted,

    /// BrokerConnected is true.
    Connected,
    /// BrokerConnected is false: no broker answers.
    Disconnected,
    /// BrokerConnected is false: the certificate of the broker is not trusted.
    BrokerTls,
    /// BrokerConnected is false: the broker refuses user name and password.
    BrokerAuth,

    /// Reachable is true.
    Reachable,
    /// Reachable is false: the site is known, but no channel to it is up.
    NoPath,
    /// Reachable is false: nothing was heard of the site.
    SiteUnknown,
    /// Reachable is false: the site does not expose the app to this site.
    AppNotExposed,
    /// Reachable is false: the site says that the app is unhealthy.
    AppUnhealthy,
    /// Reachable is false: the app of the site has other ports.
    PortMismatch,
    /// Reachable is false: the site speaks another version.
    VersionMismatch,

    /// Ready is true.
    Ready,
}

impl Reason {
    /// Returns the reason as it stands in a condition.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Invalid => "Invalid",
            Self::SiteNotFound => "SiteNotFound",
            Self::AmbiguousSite => "AmbiguousSite",
            Self::NamespaceNotAllowed => "NamespaceNotAllowed",
            Self::NotPermitted => "NotPermitted",
            Self::NameConflict => "NameConflict",
            Self::PortConflict => "PortConflict",
            Self::ServiceConflict => "ServiceConflict",
            Self::SiteFull => "SiteFull",
            Self::ResolvedRefs => "ResolvedRefs",
            Self::SecretNotFound => "SecretNotFound",
            Self::SecretMalformed => "SecretMalformed",
            Self::ServiceNotFound => "ServiceNotFound",
            Self::PortNotFound => "PortNotFound",
            Self::Programmed => "Programmed",
            Self::Pending => "Pending",
            Self::AgentsNotReady => "AgentsNotReady",
            Self::ListenFailed => "ListenFailed",
            Self::PortsExhausted => "PortsExhausted",
            Self::Connected => "Connected",
            Self::Disconnected => "Disconnected",
            Self::BrokerTls => "BrokerTLS",
            Self::BrokerAuth => "BrokerAuth",
            Self::Reachable => "Reachable",
            Self::NoPath => "NoPath",
            Self::SiteUnknown => "SiteUnknown",
            Self::AppNotExposed => "AppNotExposed",
            Self::AppUnhealthy => "AppUnhealthy",
            Self::PortMismatch => "PortMismatch",
            Self::VersionMismatch => "VersionMismatch",
            Self::Ready => "Ready",
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
