//! Writes status, where it differs, and publishes Events on transitions.

use std::fmt::Debug;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::runtime::events::Recorder;
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use wovenet_crds::{ExposedAppStatus, RemoteAppStatus, SiteStatus};

use crate::apply::{ApplyError, within};
use crate::events;
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

/// Writes the status of objects.
pub struct Reporter {
    /// The client.
    pub client: Client,
    /// Publishes Events.
    pub recorder: Recorder,
    /// Counts writes.
    pub metrics: Metrics,
}

impl Reporter {
    /// Writes `wanted` if it is not what the object has.
    pub async fn report<K, S>(&self, object: &K, current: Option<&S>, wanted: &S)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
        S: Serialize + PartialEq + Conditioned,
    {
        if current == Some(wanted) {
            return;
        }
        let kind = K::kind(&());
        let result = self.write(object, wanted).await;
        match result {
            Ok(()) => self.metrics.writes.with_label_values(&[&*kind]).inc(),
            // It was deleted meanwhile.
            Err(ApplyError::Api(kube::Error::Api(status))) if status.code == 404 => return,
            Err(error) => {
                self.metrics.write_failures.with_label_values(&[&*kind]).inc();
                let object = format!("{kind} {}/{}", object.namespace().unwrap_or_default(), object.name_any());
                tracing::warn!(object, %error, "cannot write the status, it is tried again");
                return;
            }
        }
        let before = current.map(Conditioned::conditions).unwrap_or_default();
        if let Some(event) = events::transition(before, wanted.conditions()) {
            events::publish(&self.recorder, &object.object_ref(&()), event).await;
        }
    }

    async fn write<K, S>(&self, object: &K, status: &S) -> Result<(), ApplyError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
        S: Serialize,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), &object.namespace().unwrap_or_default());
        let body = json!({
            "apiVersion": K::api_version(&()),
            "kind": K::kind(&()),
            // Only the very object that was judged, not one that was made anew with its name.
            "metadata": { "name": object.name_any(), "uid": object.uid() },
            "status": status,
        });
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        within(api.patch_status(&object.name_any(), &parameters, &Patch::Apply(body))).await.map(drop)
    }
}
