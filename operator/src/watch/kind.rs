//! The watch of one kind, kept in a store.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt, TryStreamExt};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{Lookup, ObjectRef, Store};
use kube::runtime::utils::{Backoff, ResetTimerBackoff};
use kube::runtime::watcher::{Error, Event};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource, ResourceExt};
use parking_lot::Mutex;
use prometheus::IntCounter;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::trim::Trim;
use crate::collect::Place;
use crate::metrics::Metrics;

/// How long a watch may stay silent before it is made anew: so long a dead connection goes unseen (seconds).
const WATCH_TIMEOUT_SECONDS: u32 = 45;
/// The first pause after a watch or a list that failed.
const RETRY_MIN: Duration = Duration::from_millis(500);
/// The longest such pause: so long after an outage of the API server the operator is blind.
const RETRY_MAX: Duration = Duration::from_secs(5);
/// After so long without a failure pauses begin anew.
const CALM: Duration = Duration::from_secs(60);

/// What can be watched.
pub(super) trait Watched:
    Resource<DynamicType = ()> + Lookup<DynamicType = ()> + Trim + Clone + DeserializeOwned + Debug + Send + Sync + 'static
{
}

impl<K> Watched for K where
    K: Resource<DynamicType = ()>
        + Lookup<DynamicType = ()>
        + Trim
        + Clone
        + DeserializeOwned
        + Debug
        + Send
        + Sync
        + 'static
{
}

/// The metadata of objects that cannot be read: another version wrote them, or the definition of the kind is another one.
type Unreadable = Arc<Mutex<BTreeMap<Place, ObjectMeta>>>;

/// The unreadable objects of the list that is under way.
type Listed = Arc<Mutex<BTreeSet<Place>>>;

/// What is known of one kind.
pub(super) struct Kind<K: Watched> {
    pub(super) store: Store<K>,
    unreadable: Unreadable,
}

impl<K: Watched> Kind<K> {
    /// Starts the watch as a task of `tasks`; `changes` moves with each change.
    pub(super) fn start(
        api: Api<DeserializeGuard<K>>,
        changes: &watch::Sender<u64>,
        metrics: &Metrics,
        tasks: &mut JoinSet<()>,
    ) -> Self {
        let writer = Writer::<K>::default();
        let (store, unreadable) = (writer.as_reader(), Unreadable::default());
        let listed = Listed::default();
        let mut reader = Reader { known: store.clone(), unreadable: unreadable.clone(), listed: listed.clone() };
        let (known, settled) = (store.clone(), unreadable.clone());
        let events = watcher(api, watcher::Config::default().timeout(WATCH_TIMEOUT_SECONDS))
            .backoff(ResetTimerBackoff::new(Pauses(RETRY_MIN), CALM))
            .filter_map(move |event| std::future::ready(reader.read(event)))
            .modify(|object| {
                object.managed_fields_mut().clear();
                object.trim();
            })
            .filter(move |event| std::future::ready(is_news(event, &known)))
            .reflect(writer)
            // Only now that the store has what can be read again.
            .inspect_ok(move |event| {
                if matches!(event, Event::InitDone) {
                    let listed = std::mem::take(&mut *listed.lock());
                    settled.lock().retain(|place, _| listed.contains(place));
                }
            });
        let kind = kind::<K>();
        let errors = metrics.watch_errors.with_label_values(&[&kind]);
        tasks.spawn(follow(events, kind, errors, changes.clone()));
        Self { store, unreadable }
    }

    /// Returns the objects, and the metadata of those of which nothing is known but that they are there. One that becomes
    /// readable meanwhile is in one of both, as the objects are looked at last.
    pub(super) fn read(&self) -> (Vec<Arc<K>>, Vec<ObjectMeta>) {
        let unreadable = self.unreadable.lock().clone();
        let objects = self.store.state();
        let readable: BTreeSet<Place> = objects.iter().map(|object| place(object.meta())).collect();
        let unreadable = unreadable.into_iter().filter(|(place, _)| !readable.contains(place));
        (objects, unreadable.map(|(_, metadata)| metadata).collect())
    }
}

async fn follow<K: Watched>(
    events: impl Stream<Item = Result<Event<K>, Error>>,
    kind: String,
    errors: IntCounter,
    changes: watch::Sender<u64>,
) {
    let mut events = std::pin::pin!(events);
    let mut failing = false;
    while let Some(event) = events.next().await {
        match event {
            // Only the intention to list.
            Ok(Event::Init) => {}
            Ok(_) => {
                if std::mem::take(&mut failing) {
                    tracing::info!(kind, "the watch works again");
                }
                changes.send_modify(|count| *count += 1);
            }
            Err(error) => {
                errors.inc();
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(kind, %error, "cannot watch, it is tried again");
                }
            }
        }
    }
}

/// Takes objects out of their guards. One that cannot be read any more stays as it was read last.
struct Reader<K: Watched> {
    known: Store<K>,
    unreadable: Unreadable,
    listed: Listed,
}

impl<K: Watched> Reader<K> {
    fn read(&mut self, event: Result<Event<DeserializeGuard<K>>, Error>) -> Option<Result<Event<K>, Error>> {
        let event = match event {
            Err(error) => return Some(Err(error)),
            Ok(event) => event,
        };
        Some(Ok(match event {
            Event::Init => {
                self.listed.lock().clear();
                Event::Init
            }
            Event::InitApply(DeserializeGuard(Ok(object))) => Event::InitApply(object),
            Event::InitApply(DeserializeGuard(Err(object))) => {
                let last = self.last(&object.metadata);
                self.listed.lock().insert(place(&object.metadata));
                self.note(object.metadata, &object.error);
                Event::InitApply(last?)
            }
            Event::InitDone => Event::InitDone,
            // One that was unreadable is hidden by the store from now on.
            Event::Apply(DeserializeGuard(Ok(object))) => Event::Apply(object),
            Event::Apply(DeserializeGuard(Err(object))) => {
                self.note(object.metadata, &object.error);
                return None;
            }
            Event::Delete(object) => {
                self.unreadable.lock().remove(&place(object.meta()));
                let last = self.last(object.meta());
                Event::Delete(object.0.ok().or(last)?)
            }
        }))
    }

    fn last(&self, metadata: &ObjectMeta) -> Option<K> {
        self.known.get(&reference(metadata)).map(|object| (*object).clone())
    }

    /// Notes an object that cannot be read, and logs it once for each of its versions.
    fn note(&self, metadata: ObjectMeta, error: &str) {
        let (place, version) = (place(&metadata), metadata.resource_version.clone());
        let known = self.unreadable.lock().insert(place.clone(), metadata);
        if known.is_none_or(|known| known.resource_version != version) {
            let (namespace, name) = place;
            let kind = kind::<K>();
            tracing::error!(kind, namespace, name, error, "cannot read an object: what is known of it stays as it is");
        }
    }
}

fn kind<K: Watched>() -> String {
    <K as Resource>::kind(&()).into_owned()
}

fn place(metadata: &ObjectMeta) -> Place {
    (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
}

fn reference<K: Watched>(metadata: &ObjectMeta) -> ObjectRef<K> {
    let reference = ObjectRef::new(metadata.name.as_deref().unwrap_or_default());
    match &metadata.namespace {
        Some(namespace) => reference.within(namespace),
        None => reference,
    }
}

/// Tells whether an event is worth a look: not one that comes twice, or after what overtook it.
fn is_news<K: Watched>(event: &Result<Event<K>, Error>, known: &Store<K>) -> bool {
    let (object, is_older): (_, fn(u128, u128) -> bool) = match event {
        Ok(Event::Apply(object)) => (object, |told, known| told <= known),
        Ok(Event::Delete(object)) => (object, |told, known| told < known),
        _ => return true,
    };
    let Some(known) = known.get(&object.to_object_ref(())) else { return true };
    let version = |object: &K| object.meta().resource_version.as_ref()?.parse().ok();
    match (version(object), version(&known)) {
        (Some(told), Some(known)) => !is_older(told, known),
        _ => true,
    }
}

/// Pauses after failures: twice as long each time, less up to a half by chance.
struct Pauses(Duration);

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.0;
        self.0 = (pause * 2).min(RETRY_MAX);
        Some(pause.mul_f64(rand::random_range(0.5..1.0)))
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.0 = RETRY_MIN;
    }
}
