//! Events on transitions of Ready.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::events::{Event, EventType, Recorder};
use wovenet_crds::condition::{self, ConditionType, Reason};

use crate::apply::within;

/// The longest note of an Event (events.k8s.io/v1), in bytes, with room to spare.
const NOTE_MAX_CHARS: usize = 900;

/// Returns the Event that a change of conditions is worth, if any.
pub fn transition(before: &[Condition], after: &[Condition]) -> Option<Event> {
    let ready = condition::find(after, ConditionType::Ready)?;
    let last = condition::find(before, ConditionType::Ready);
    let same = last.is_some_and(|last| (&last.status, &last.reason) == (&ready.status, &ready.reason));
    let waits = [Reason::Pending, Reason::AgentsNotReady].iter().any(|reason| ready.reason == reason.as_str());
    // What takes its course needs no word; what comes of it does.
    let takes_its_course =
        ready.reason == Reason::Pending.as_str() || (waits && last.is_none_or(|last| last.status != "True"));
    if same || takes_its_course {
        return None;
    }
    Some(Event {
        type_: if ready.status == "False" { EventType::Warning } else { EventType::Normal },
        reason: ready.reason.clone(),
        note: Some(ready.message.chars().take(NOTE_MAX_CHARS).collect()),
        action: format!("Ready{}", ready.status),
        secondary: None,
    })
}

/// Publishes an Event; one that is lost is only logged.
pub async fn publish(recorder: &Recorder, about: &ObjectReference, event: Event) {
    if let Err(error) = within(recorder.publish(&event, about)).await {
        tracing::debug!(%error, "an Event is lost");
    }
}
