//! Makes the cluster as it must be: server-side apply of what differs, and removal of what is no longer wanted.
//!
//! Nothing is written when nothing differs: an object is applied when it was rendered anew (its hash is another one) or
//! when somebody changed what the operator owns.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::timeout;

use crate::leader::Term;
use crate::names::{APPLIED_HASH, FIELD_MANAGER};

/// How long one call to the API server may take.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// The first pause after a write that failed.
const RETRY_MIN: Duration = Duration::from_millis(500);
/// The longest pause after writes that failed.
const RETRY_MAX: Duration = Duration::from_secs(60);
/// An object that was just made is given so long to be seen by the watch.
const WATCH_LAG: Duration = Duration::from_secs(1);
/// An object that somebody else changes again and again is applied no more often than this.
const FIGHT_PAUSE: Duration = Duration::from_secs(10);

/// Why a write failed.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The API server refused, or could not be reached.
    #[error(transparent)]
    Api(#[from] kube::Error),
    /// It did not answer in time.
    #[error("no answer within {} s", CALL_TIMEOUT.as_secs())]
    Timeout,
    /// An object could not be written as JSON.
    #[error("cannot write the object as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// Bounds a call to the API server.
///
/// # Errors
/// [`ApplyError`] when it fails or takes too long.
pub async fn within<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, ApplyError> {
    Ok(timeout(CALL_TIMEOUT, call).await.map_err(|_| ApplyError::Timeout)??)
}

/// Remembers writes that failed, by object: a bad one waits, the others go on.
#[derive(Debug, Default)]
pub struct Pauses {
    until: HashMap<String, (Instant, Duration)>,
    applied: HashMap<String, Applied>,
}

/// What became of the last write of an object.
#[derive(Debug)]
struct Applied {
    hash: String,
    version: Option<String>,
    at: Instant,
}

impl Pauses {
    pub(crate) fn is_paused(&self, object: &str, now: Instant) -> bool {
        self.until.get(object).is_some_and(|(until, _)| now < *until)
    }

    pub(crate) fn succeeded(&mut self, object: &str) {
        self.until.remove(object);
    }

    /// Forgets objects that have not been tried for long, as they are gone.
    pub(crate) fn forget(&mut self, now: Instant) {
        self.until.retain(|_, (until, _)| now < *until + RETRY_MAX);
    }

    pub(crate) fn failed(&mut self, object: &str, now: Instant) {
        let pause = self.until.get(object).map_or(RETRY_MIN, |(_, pause)| (*pause * 2).min(RETRY_MAX));
        self.until.insert(object.to_owned(), (now + pause.mul_f64(rand::random_range(0.5..1.0)), pause));
    }

    /// Tells when the next paused object may be tried.
    pub fn next(&self, now: Instant) -> Option<Instant> {
        self.until.values().map(|(until, _)| *until).filter(|until| *until > now).min()
    }
}

/// Writes objects. Counts what it wrote.
pub struct Applier<'a> {
    /// The client.
    pub client: &'a Client,
    /// Nothing is written after its end.
    pub term: &'a Term,
    /// Objects that failed before.
    pub pauses: &'a mut Pauses,
    /// How many writes were made, by kind.
    pub writes: &'a prometheus::IntCounterVec,
    /// How many writes failed, by kind.
    pub failures: &'a prometheus::IntCounterVec,
}

impl Applier<'_> {
    /// Applies every object of `wanted` that differs from what is in `existing`, and deletes every one of `existing` that
    /// is not wanted. `existing` holds only what the operator made.
    pub async fn apply_all<K>(&mut self, wanted: Vec<K>, existing: &[&K])
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned,
    {
        let mut left: BTreeMap<(Option<String>, String), &K> =
            existing.iter().map(|object| ((object.namespace(), object.name_any()), *object)).collect();
        for object in wanted {
            let existing = left.remove(&(object.namespace(), object.name_any()));
            self.apply(object, existing).await;
        }
        for object in left.into_values().filter(|object| object.meta().deletion_timestamp.is_none()) {
            self.delete(object).await;
        }
    }

    /// Applies one object if it differs.
    pub async fn apply<K>(&mut self, mut wanted: K, existing: Option<&K>)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned,
    {
        let now = Instant::now();
        let object = format!("{} {}/{}", K::kind(&()), wanted.namespace().unwrap_or_default(), wanted.name_any());
        if self.pauses.is_paused(&object, now) || !self.term.holds() {
            return;
        }
        let Ok(hash) = hash(&wanted) else { return };
        let last = self.pauses.applied.get(&object).filter(|last| last.hash == hash);
        if let Some(existing) = existing
            && existing.annotations().get(APPLIED_HASH) == Some(&hash)
            // The API server writes some values in its own way: what nobody changed since is as wanted.
            && (last.is_some_and(|last| last.version == existing.resource_version())
                || covers(&json(existing), &json(&wanted)))
        {
            self.pauses.until.remove(&object);
            return;
        }
        let rest = if existing.is_some() { FIGHT_PAUSE } else { WATCH_LAG };
        if last.is_some_and(|last| now - last.at < rest) {
            return;
        }
        wanted.annotations_mut().insert(APPLIED_HASH.to_owned(), hash.clone());
        let api: Api<K> = Api::namespaced(self.client.clone(), &wanted.namespace().unwrap_or_default());
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let written = within(api.patch(&wanted.name_any(), &parameters, &Patch::Apply(&wanted))).await;
        let version = written.as_ref().ok().and_then(ResourceExt::resource_version);
        self.pauses.applied.insert(object.clone(), Applied { hash, version, at: now });
        self.note(&K::kind(&()), "applied", &object, written.map(drop), now);
    }

    async fn delete<K>(&mut self, object: &K)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let now = Instant::now();
        let name = format!("{} {}/{}", K::kind(&()), object.namespace().unwrap_or_default(), object.name_any());
        if self.pauses.is_paused(&name, now) || !self.term.holds() {
            return;
        }
        let api: Api<K> = Api::namespaced(self.client.clone(), &object.namespace().unwrap_or_default());
        let parameters = DeleteParams {
            // Only the very object that was seen: one that was made anew is somebody else's.
            preconditions: Some(Preconditions { uid: object.uid(), resource_version: None }),
            ..DeleteParams::background()
        };
        let deleted = match within(api.delete(&object.name_any(), &parameters)).await {
            Err(ApplyError::Api(kube::Error::Api(status))) if status.code == 404 => Ok(()),
            result => result.map(drop),
        };
        self.note(&K::kind(&()), "deleted", &name, deleted, now);
    }

    fn note(&mut self, kind: &str, done: &str, object: &str, result: Result<(), ApplyError>, now: Instant) {
        match result {
            Ok(()) => {
                self.pauses.until.remove(object);
                self.writes.with_label_values(&[kind]).inc();
                tracing::info!(object, "{done}");
            }
            Err(error) => {
                self.pauses.failed(object, now);
                self.failures.with_label_values(&[kind]).inc();
                tracing::warn!(object, %error, "cannot write an object, it is tried again");
            }
        }
    }
}

fn hash<K: Serialize>(object: &K) -> Result<String, ApplyError> {
    let bytes = serde_json::to_vec(object)?;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes);
    Ok(HEXLOWER.encode(&digest.as_ref()[..16]))
}

fn json<K: Serialize>(object: &K) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}

/// Tells whether `actual` holds everything that `wanted` says; what the API server filled in besides does not matter.
fn covers(actual: &Value, wanted: &Value) -> bool {
    match (actual, wanted) {
        (Value::Object(actual), Value::Object(wanted)) => wanted.iter().all(|(key, wanted)| {
            let empty =
                wanted.as_array().is_some_and(Vec::is_empty) || wanted.as_object().is_some_and(|map| map.is_empty());
            match actual.get(key) {
                Some(actual) => covers(actual, wanted),
                None => wanted.is_null() || empty,
            }
        }),
        (Value::Array(actual), Value::Array(wanted)) => {
            actual.len() == wanted.len() && actual.iter().zip(wanted).all(|(actual, wanted)| covers(actual, wanted))
        }
        (actual, wanted) => actual == wanted,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_api_server_filled_in_is_no_difference_and_what_somebody_changed_is() {
        let wanted = json!({"spec": {"ports": [{"port": 80}], "type": "ClusterIP", "empty": {}}});
        let filled =
            json!({"spec": {"ports": [{"port": 80, "protocol": "TCP"}], "type": "ClusterIP", "clusterIP": "10.0.0.1"}});
        assert!(covers(&filled, &wanted));
        for changed in [
            json!({"spec": {"ports": [{"port": 81}], "type": "ClusterIP"}}),
            json!({"spec": {"ports": [], "type": "ClusterIP"}}),
            json!({"spec": {"ports": [{"port": 80}]}}),
        ] {
            assert!(!covers(&changed, &wanted), "{changed}");
        }
    }

    #[test]
    fn an_object_that_fails_waits_longer_each_time_and_others_do_not() {
        let (mut pauses, now) = (Pauses::default(), Instant::now());
        pauses.failed("one", now);
        assert!(pauses.is_paused("one", now) && !pauses.is_paused("two", now));
        (0..20).for_each(|_| pauses.failed("one", now));
        assert!(!pauses.is_paused("one", now + RETRY_MAX));
        assert!(pauses.next(now).is_some_and(|next| next <= now + RETRY_MAX));
    }
}
