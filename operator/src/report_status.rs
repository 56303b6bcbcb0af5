//! Writes status, where it differs, and publishes Events on transitions.

use std::collections::HashMap;
use std::fmt::Debug;
use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::runtime::events::Recorder;
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use wovenet_crds::{ExposedAppStatus, RemoteAppStatus, SiteStatus};

use crate::apply::{ApplyError, Pauses, Permits, within};
use crate::events;
use crate::leader::Term;
use crate::metrics::Metrics;
use crate::names::FIELD_MANAGER;

/// A status with conditions.
pub trait Conditioned {
    /// Returns them.
    fn conditions(&self) -> &[Condition];
}

impl Conditioned for SiteStatus {
    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }
}

impl Conditioned for ExposedAppStatus {
    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }
}

impl Conditioned for RemoteAppStatus {
    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }
}

/// A status that was sent is not sent again for what the watch showed before, but after so long.
const RESEND_AFTER: Duration = Duration::from_secs(30);

/// Writes the status of objects, each in a task of its own.
pub struct Reporter {
    client: Client,
    recorder: Recorder,
    metrics: Metrics,
    term: Term,
    pauses: Pauses,
    sent: HashMap<String, Sent>,
    running: JoinSet<Done>,
    permits: Permits,
}

/// The last status of an object that was sent.
struct Sent {
    /// The version of the object that was judged.
    judged: Option<String>,
    at: Instant,
}

/// What became of a write.
struct Done {
    kind: String,
    object: String,
    result: Result<(), ApplyError>,
}

impl Reporter {
    /// Has written nothing yet. Nothing is written after `term`.
    pub fn new(client: Client, recorder: Recorder, metrics: Metrics, term: Term) -> Self {
        Self {
            client,
            recorder,
            metrics,
            term,
            pauses: Pauses::default(),
            sent: HashMap::new(),
            running: JoinSet::new(),
            permits: Permits::default(),
        }
    }

    /// Begins to write `wanted` if it is not what the object has.
    pub fn report<K, S>(&mut self, object: &K, current: Option<&S>, wanted: &S)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + Send
            + 'static,
        S: Serialize + PartialEq + Conditioned,
    {
        let (kind, now) = (K::kind(&()).into_owned(), Instant::now());
        let name = format!("{kind} {}/{}", object.namespace().unwrap_or_default(), object.name_any());
        let judged = object.resource_version();
        let is_sent = self.sent.get(&name).is_some_and(|sent| sent.judged == judged);
        if current == Some(wanted) || is_sent || self.pauses.is_paused(&name, now) {
            return;
        }
        let Some(permit) = self.permits.take(&kind) else { return };
        let before = current.map(Conditioned::conditions).unwrap_or_default();
        let event = events::transition(before, wanted.conditions());
        let write = write(self.client.clone(), object, &json!(wanted));
        let (recorder, about) = (self.recorder.clone(), object.object_ref(&()));
        let term = self.term.clone();
        self.sent.insert(name.clone(), Sent { judged, at: now });
        self.running.spawn(async move {
            let _permit = permit;
            let result = if term.holds() { within(write).await } else { Ok(()) };
            if let (Ok(()), Some(event), true) = (&result, event, term.holds()) {
                events::publish(&recorder, &about, event).await;
            }
            Done { kind, object: name, result }
        });
    }

    /// Takes over what became of writes since: one that failed is tried again, later each time.
    pub fn take_results(&mut self) {
        let now = Instant::now();
        while let Some(done) = self.running.try_join_next() {
            match done {
                Ok(done) => self.note(done, now),
                Err(error) => tracing::error!(%error, "writing a status ended early"),
            }
        }
        self.sent.retain(|_, sent| now.duration_since(sent.at) < RESEND_AFTER);
        self.pauses.forget(now);
    }

    fn note(&mut self, Done { kind, object, result }: Done, now: Instant) {
        match result {
            Ok(()) => {
                self.pauses.succeeded(&object);
                self.metrics.writes.with_label_values(&[kind]).inc();
            }
            // It was deleted meanwhile.
            Err(ApplyError::Api(kube::Error::Api(status))) if status.code == 404 => {}
            Err(error) => {
                self.sent.remove(&object);
                self.pauses.failed(&object, now);
                self.metrics.write_failures.with_label_values(&[kind]).inc();
                tracing::warn!(object, %error, "cannot write the status, it is tried again");
            }
        }
    }
}

/// Writes the status of the very object that was judged, not of one that was made anew with its name.
fn write<K>(client: Client, object: &K, status: &Value) -> impl Future<Output = kube::Result<()>> + Send + use<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let name = object.name_any();
    let api: Api<K> = Api::namespaced(client, &object.namespace().unwrap_or_default());
    let body = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": { "name": name, "uid": object.uid() },
        "status": status,
    });
    async move {
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        api.patch_status(&name, &parameters, &Patch::Apply(body)).await.map(drop)
    }
}
