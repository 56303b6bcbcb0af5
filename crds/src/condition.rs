//! Conditions: their types, their reasons, and how they are set.
//!
//! Pure: takes the conditions so far, a verdict and `now`; the same verdict again changes nothing.

mod reason;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

pub use reason::Reason;

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
        last_transition_time: since.unwrap_or(Time(now)),
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

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDS: [ConditionType; 2] = [ConditionType::Accepted, ConditionType::Programmed];

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    #[test]
    fn a_condition_keeps_its_time_while_its_status_stays() {
        let mut conditions = Vec::new();
        let first = Verdict::fails(Reason::SiteNotFound, "Site x does not exist");
        assert!(set(&mut conditions, ConditionType::Accepted, &first, 1, at(1)));
        let second = Verdict::fails(Reason::AmbiguousSite, "there are two Sites");
        assert!(!set(&mut conditions, ConditionType::Accepted, &second, 2, at(2)));
        assert_eq!(conditions.len(), 1);
        assert_eq!(conditions[0].last_transition_time, Time(at(1)));
        assert_eq!((conditions[0].reason.as_str(), conditions[0].observed_generation), ("AmbiguousSite", Some(2)));

        let third = Verdict::holds(ConditionType::Accepted, "attached to Site x");
        assert!(set(&mut conditions, ConditionType::Accepted, &third, 2, at(3)));
        assert_eq!(conditions[0].last_transition_time, Time(at(3)));
        assert_eq!((conditions[0].status.as_str(), conditions[0].reason.as_str()), ("True", "Accepted"));
    }

    #[test]
    fn the_same_verdict_again_changes_nothing() {
        let mut conditions = Vec::new();
        let verdict = Verdict::holds(ConditionType::Programmed, "5 agents have it");
        set(&mut conditions, ConditionType::Programmed, &verdict, 1, at(1));
        let before = conditions.clone();
        assert!(!set(&mut conditions, ConditionType::Programmed, &verdict, 1, at(9)));
        assert_eq!(conditions, before);
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let mut conditions = Vec::new();
        let verdict = Verdict::fails(Reason::Invalid, "ü".repeat(MESSAGE_MAX_CHARS + 1));
        set(&mut conditions, ConditionType::Accepted, &verdict, 1, at(1));
        assert_eq!(conditions[0].message.chars().count(), MESSAGE_MAX_CHARS);
    }

    #[test]
    fn a_removed_condition_is_gone() {
        let mut conditions = Vec::new();
        let verdict = Verdict::fails(Reason::Disconnected, "no broker answers");
        set(&mut conditions, ConditionType::BrokerConnected, &verdict, 1, at(1));
        remove(&mut conditions, ConditionType::BrokerConnected);
        assert_eq!(find(&conditions, ConditionType::BrokerConnected), None);
    }

    #[test]
    fn the_summary_is_false_like_the_first_that_is_false() {
        let mut conditions = Vec::new();
        set(&mut conditions, ConditionType::Programmed, &Verdict::fails(Reason::ListenFailed, "late"), 1, at(1));
        set(&mut conditions, ConditionType::Accepted, &Verdict::fails(Reason::NameConflict, "first"), 1, at(1));
        assert_eq!(ready(&conditions, &NEEDS), Verdict::fails(Reason::NameConflict, "first"));
    }

    #[test]
    fn what_is_false_comes_before_what_is_unknown() {
        let mut conditions = Vec::new();
        set(&mut conditions, ConditionType::Accepted, &Verdict::pending("soon"), 1, at(1));
        assert_eq!(ready(&conditions, &NEEDS), Verdict::pending("soon"));
        set(&mut conditions, ConditionType::Programmed, &Verdict::fails(Reason::AgentsNotReady, "none"), 1, at(1));
        assert_eq!(ready(&conditions, &NEEDS), Verdict::fails(Reason::AgentsNotReady, "none"));
    }

    #[test]
    fn the_summary_is_true_when_every_need_is() {
        let mut conditions = Vec::new();
        set(&mut conditions, ConditionType::Accepted, &Verdict::holds(ConditionType::Accepted, ""), 1, at(1));
        assert_eq!(ready(&conditions, &NEEDS), Verdict::pending("Programmed is not judged yet"));
        set(&mut conditions, ConditionType::Programmed, &Verdict::holds(ConditionType::Programmed, ""), 1, at(1));
        assert_eq!(ready(&conditions, &NEEDS).status, Status::True);
        assert_eq!(ready(&conditions, &NEEDS).reason, "Ready");
    }
}
