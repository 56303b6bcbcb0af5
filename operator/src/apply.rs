//! Makes the cluster as it must be: server-side apply of what differs, and removal of what is no longer wanted.
//!
//! Nothing is written when nothing differs: an object is applied when it was rendered anew (its hash is another one) or
//! when somebody changed what the operator owns.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::leader::Term;
use crate::metrics::Metrics;
use crate::names::{APPLIED_HASH, FIELD_MANAGER};

/// How long one call to the API server may take.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// The first pause after a write that failed.
const RETRY_MIN: Duration = Duration::from_millis(500);
/// The longest pause after writes that failed: what could not be written during an outage is written so soon after it.
const RETRY_MAX: Duration = Duration::from_secs(20);
/// How many objects of one kind are written at a time. Those beyond wait for the next round, which knows what is right then.
const WRITES_AT_ONCE: usize = 32;
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
    /// Another replica leads.
    #[error("another replica leads")]
    TermEnded,
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
}

/// Bounds the writes of each kind that are under way: those of one that hang hold up no other.
#[derive(Debug, Default)]
pub(crate) struct Permits(HashMap<String, Arc<Semaphore>>);

impl Permits {
    /// Takes a permit for a write of a kind; `None` while there is none.
    pub(crate) fn take(&mut self, kind: &str) -> Option<OwnedSemaphorePermit> {
        let of_kind = self.0.entry(kind.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(WRITES_AT_ONCE)));
        of_kind.clone().try_acquire_owned().ok()
    }
}

/// Writes objects, each in a task of its own: one that hangs holds up no other. Counts what it wrote.
pub struct Writer {
    client: Client,
    metrics: Metrics,
    term: Term,
    pauses: Pauses,
    applied: HashMap<String, Applied>,
    unwritten: BTreeMap<String, String>,
    under_way: HashSet<String>,
    running: JoinSet<Done>,
    permits: Permits,
}

/// The last write of an object that succeeded.
#[derive(Debug)]
struct Applied {
    hash: String,
    version: Option<String>,
    at: Instant,
}

/// What became of a write.
struct Done {
    kind: String,
    object: String,
    done: &'static str,
    result: Result<Option<Applied>, ApplyError>,
}

impl Writer {
    /// Has written nothing yet. Nothing is written after the end of `term`.
    pub fn new(client: Client, metrics: Metrics, term: Term) -> Self {
        Self {
            client,
            metrics,
            term,
            pauses: Pauses::default(),
            applied: HashMap::new(),
            unwritten: BTreeMap::new(),
            under_way: HashSet::new(),
            running: JoinSet::new(),
            permits: Permits::default(),
        }
    }

    /// Returns why the last write of an object failed, by `KIND NAMESPACE/NAME`.
    pub fn unwritten(&self) -> BTreeMap<String, String> {
        self.unwritten.clone()
    }

    /// Applies every object of `wanted` that differs from what is in `existing`, and deletes every one of `existing` that
    /// is not wanted, unless it `stays`. `existing` holds only what the operator made.
    pub fn apply_all<K: Written>(&mut self, wanted: Vec<K>, existing: &[&K], stays: &impl Fn(&ObjectMeta) -> bool) {
        let mut left: BTreeMap<String, &K> = existing.iter().map(|object| (shown(*object), *object)).collect();
        let names: HashSet<String> = wanted.iter().map(shown).collect();
        let gone = |object: &String| object.starts_with(&format!("{} ", K::kind(&()))) && !names.contains(object);
        self.applied.retain(|object, _| !gone(object));
        self.unwritten.retain(|object, _| !gone(object) || left.contains_key(object));
        for object in wanted {
            let existing = left.remove(&shown(&object));
            self.apply(object, existing);
        }
        let goes = |object: &&K| object.meta().deletion_timestamp.is_none() && !stays(object.meta());
        for object in left.into_values().filter(goes) {
            self.delete(object);
        }
    }

    /// Begins to apply one object if it differs. One that does not exist is not taken over when somebody else makes it
    /// meanwhile, and one that exists is written only while it is still the same one.
    pub fn apply<K: Written>(&mut self, mut wanted: K, existing: Option<&K>) {
        let (object, now) = (shown(&wanted), Instant::now());
        if !self.may_begin(&object, now) {
            return;
        }
        let Ok(hash) = hash(&wanted) else { return };
        let last = self.applied.get(&object).filter(|last| last.hash == hash);
        if let Some(existing) = existing
            && existing.annotations().get(APPLIED_HASH) == Some(&hash)
            // The API server writes some values in its own way: what nobody changed since is as wanted.
            && (last.is_some_and(|last| last.version == existing.resource_version())
                || covers(&json(existing), &json(&wanted)))
        {
            self.pauses.succeeded(&object);
            self.unwritten.remove(&object);
            return;
        }
        let rest = if existing.is_some() { FIGHT_PAUSE } else { WATCH_LAG };
        if last.is_some_and(|last| now - last.at < rest) {
            return;
        }
        wanted.annotations_mut().insert(APPLIED_HASH.to_owned(), hash.clone());
        let mut parameters = PatchParams::apply(FIELD_MANAGER);
        parameters.force = existing.is_some();
        wanted.meta_mut().uid = existing.and_then(ResourceExt::uid);
        let api: Api<K> = Api::namespaced(self.client.clone(), &wanted.namespace().unwrap_or_default());
        self.begin::<K>(object, "applied", async move {
            let written = within(api.patch(&wanted.name_any(), &parameters, &Patch::Apply(&wanted))).await?;
            Ok(Some(Applied { hash, version: written.resource_version(), at: Instant::now() }))
        });
    }

    /// Begins to make an object; one that exists stays.
    pub fn create<K: Written>(&mut self, wanted: K) {
        let object = shown(&wanted);
        if !self.may_begin(&object, Instant::now()) {
            return;
        }
        let api: Api<K> = Api::namespaced(self.client.clone(), &wanted.namespace().unwrap_or_default());
        self.begin::<K>(object, "made", async move {
            match within(api.create(&PostParams::default(), &wanted)).await {
                Err(ApplyError::Api(kube::Error::Api(status))) if status.code == 409 => Ok(None),
                result => result.map(|_| None),
            }
        });
    }

    fn delete<K: Written>(&mut self, existing: &K) {
        let object = shown(existing);
        if !self.may_begin(&object, Instant::now()) {
            return;
        }
        let api: Api<K> = Api::namespaced(self.client.clone(), &existing.namespace().unwrap_or_default());
        let name = existing.name_any();
        let parameters = DeleteParams {
            // Only the very object that was seen: one that was made anew is somebody else's.
            preconditions: Some(Preconditions { uid: existing.uid(), resource_version: None }),
            ..DeleteParams::background()
        };
        self.begin::<K>(object, "deleted", async move {
            match within(api.delete(&name, &parameters)).await {
                Err(ApplyError::Api(kube::Error::Api(status))) if status.code == 404 => Ok(None),
                result => result.map(|_| None),
            }
        });
    }

    fn may_begin(&self, object: &str, now: Instant) -> bool {
        self.term.holds() && !self.under_way.contains(object) && !self.pauses.is_paused(object, now)
    }

    fn begin<K: Written>(
        &mut self,
        object: String,
        done: &'static str,
        write: impl Future<Output = Result<Option<Applied>, ApplyError>> + Send + 'static,
    ) {
        let kind = K::kind(&()).into_owned();
        let Some(permit) = self.permits.take(&kind) else { return };
        let term = self.term.clone();
        self.under_way.insert(object.clone());
        self.running.spawn(async move {
            let _permit = permit;
            let result = if term.holds() { write.await } else { Err(ApplyError::TermEnded) };
            Done { kind, object, done, result }
        });
    }

    /// Takes over what became of writes since: one that failed is tried again, later each time.
    pub fn take_results(&mut self) {
        let now = Instant::now();
        while let Some(done) = self.running.try_join_next() {
            match done {
                Ok(done) => self.note(done, now),
                Err(error) => tracing::error!(%error, "writing an object ended early"),
            }
        }
        if self.running.is_empty() {
            // Of one that ended early nothing else tells.
            self.under_way.clear();
        }
        self.pauses.forget(now);
    }

    fn note(&mut self, Done { kind, object, done, result }: Done, now: Instant) {
        self.under_way.remove(&object);
        match result {
            Ok(applied) => {
                self.pauses.succeeded(&object);
                self.unwritten.remove(&object);
                self.metrics.writes.with_label_values(&[&kind]).inc();
                tracing::info!(object, "{done}");
                self.applied.extend(applied.map(|applied| (object, applied)));
            }
            Err(ApplyError::TermEnded) => {}
            Err(error) => {
                self.pauses.failed(&object, now);
                self.metrics.write_failures.with_label_values(&[&kind]).inc();
                tracing::warn!(object, %error, "cannot write an object, it is tried again");
                self.unwritten.insert(object, error.to_string());
            }
        }
    }
}

/// What can be written.
pub trait Written:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
}

impl<K> Written for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
        + Send
        + Sync
        + 'static
{
}

/// Names an object in logs and conditions.
fn shown<K: Resource<DynamicType = ()>>(object: &K) -> String {
    format!("{} {}/{}", K::kind(&()), object.namespace().unwrap_or_default(), object.name_any())
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
    }
}
