//! Conditions: their types, their reasons, and how they are set.
//!
//! Pure: takes the conditions so far, a verdict and `now`; the same verdict again changes nothing.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

/// The longest message, in characters. Longer ones are cut.
pub const MESSAGE_MAX_CHARS: usize = 1_024;

/// What a condition judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionType {
    /// The object is valid and allowed to attach. All kinds.
    Accepted,
    /// Secrets, Services and ports that the object names exist. All kinds.
    ResolvedRefs,
    /// Every ready agent has this generation. All kinds.
    Programmed,
    /// Any agent is connected to any broker. Site; absent without brokers.
    BrokerConnected,
    /// A provider is connected, exposes the app to this site and says that it is healthy. RemoteApp.
    Reachable,
    /// It works: the summary. All kinds.
    Ready,
}

impl ConditionType {
    /// Returns the type as it stands in a condition.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::ResolvedRefs => "ResolvedRefs",
            Self::Programmed => "Programmed",
            Self::BrokerConnected => "BrokerConnected",
            Self::Reachable => "Reachable",
            Self::Ready => "Ready",
        }
    }

    /// Returns the reason of a condition that is true.
    pub fn reason_when_true(self) -> Reason {
        match self {
            Self::Accepted => Reason::Accepted,
            Self::ResolvedRefs => Reason::ResolvedRefs,
            Self::Programmed => Reason::Programmed,
            Self::BrokerConnected => Reason::Connected,
            Self::Reachable => Reason::Reachable,
            Self::Ready => Reason::Ready,
        }
    }
}

impl std::fmt::Display for ConditionType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It was not judged yet.
    Unknown,
}

impl Status {
    /// Returns the status as it stands in a condition.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

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

/// The judgement that a condition states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it holds.
    pub status: Status,
    /// Why, for programs.
    pub reason: String,
    /// Why, for people. Without times and counters that change at rest.
    pub message: String,
}

impl Verdict {
    /// Builds the verdict that `condition` holds.
    pub fn holds(condition: ConditionType, message: impl Into<String>) -> Self {
        Self::of(Status::True, condition.reason_when_true(), message)
    }

    /// Builds the verdict that a condition does not hold, and why.
    pub fn fails(reason: Reason, message: impl Into<String>) -> Self {
        Self::of(Status::False, reason, message)
    }

    /// Builds the verdict that a condition was not judged yet.
    pub fn pending(message: impl Into<String>) -> Self {
        Self::of(Status::Unknown, Reason::Pending, message)
    }

    fn of(status: Status, reason: Reason, message: impl Into<String>) -> Self {
        Self { status, reason: reason.as_str().to_owned(), message: message.into() }
    }
}

/// Sets one condition and tells whether its status changed, which is worth an Event.
///
/// `lastTransitionTime` stays while the status does.
pub fn set(
    conditions: &mut Vec<Condition>,
    condition: ConditionType,
    verdict: &Verdict,
    observed_generation: i64,
    now: Timestamp,
) -> bool {
    let place = conditions.iter().position(|known| known.type_ == condition.as_str());
    let since = place
        .map(|place| &conditions[place])
        .filter(|known| known.status == verdict.status.as_str())
        .map(|known| known.last_transition_time.clone());
    let changed = since.is_none();
    let new = Condition {
        type_: condition.as_str().to_owned(),
        status: verdict.status.as_str().to_owned(),
        reason: verdict.reason.clone(),
        message: verdict.message.chars().take(MESSAGE_MAX_CHARS).collect(),
        observed_generation: Some(observed_generation),
        last_transition_time: since.unwrap_or_else(|| Time(now)),
    };
    match place {
        Some(place) => conditions[place] = new,
        None => conditions.push(new),
    }
    changed
}

/// Removes a condition that does not apply any more.
pub fn remove(conditions: &mut Vec<Condition>, condition: ConditionType) {
    conditions.retain(|known| known.type_ != condition.as_str());
}

/// Finds a condition.
pub fn find(conditions: &[Condition], condition: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|known| known.type_ == condition.as_str())
}

/// Sums up: false like the first of `needs` that is false, else unknown like the first that is not true, else ready.
pub fn ready(conditions: &[Condition], needs: &[ConditionType]) -> Verdict {
    let with = |status: Status| {
        let found = needs.iter().filter_map(|need| find(conditions, *need));
        found.into_iter().find(|condition| condition.status == status.as_str())
    };
    let like = |condition: &Condition, status| Verdict {
        status,
        reason: condition.reason.clone(),
        message: condition.message.clone(),
    };
    if let Some(condition) = with(Status::False) {
        return like(condition, Status::False);
    }
    if let Some(condition) = with(Status::Unknown) {
        return like(condition, Status::Unknown);
    }
    match needs.iter().find(|need| find(conditions, **need).is_none()) {
        Some(missing) => Verdict::pending(format!("{missing} is not judged yet")),
        None => Verdict::holds(ConditionType::Ready, "works"),
    }
}
