//! Private keys that the operator makes: its own, by which agents know it, and one for each Site.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};
use wovenet_identity::SiteKey;

use crate::apply::{ApplyError, Writer, within};
use crate::names;
use crate::plan::{KeyState, SitePlan};

/// Reads the key by which agents know the operator; makes it when there is none yet.
pub(crate) async fn operator_key(client: &Client, namespace: &str) -> anyhow::Result<SiteKey> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    loop {
        if let Some(secret) = within(api.get_opt(names::OPERATOR_KEY_SECRET)).await? {
            let pem = secret.data.as_ref().and_then(|data| data.get(names::KEY_FIELD));
            let pem = pem
                .ok_or_else(|| anyhow::anyhow!("Secret {} has no {}", names::OPERATOR_KEY_SECRET, names::KEY_FIELD))?;
            return SiteKey::from_pem(&pem.0).map_err(|error| {
                anyhow::anyhow!("{} of Secret {} {error}: delete it", names::KEY_FIELD, names::OPERATOR_KEY_SECRET)
            });
        }
        create_key(&api, names::OPERATOR_KEY_SECRET, BTreeMap::new()).await?;
    }
}

/// Makes a Secret with a new key. One that exists stays.
async fn create_key(api: &Api<Secret>, name: &str, labels: BTreeMap<String, String>) -> anyhow::Result<()> {
    let secret = key_secret(name, labels, &SiteKey::generate()?);
    match within(api.create(&PostParams::default(), &secret)).await {
        Ok(_) => tracing::info!(secret = name, "made a key"),
        Err(ApplyError::Api(kube::Error::Api(status))) if status.code == 409 => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

fn key_secret(name: &str, mut labels: BTreeMap<String, String>, key: &SiteKey) -> Secret {
    labels.insert(names::MANAGED_BY.0.to_owned(), names::MANAGED_BY.1.to_owned());
    let pem = ByteString(key.to_pem().as_bytes().to_vec());
    Secret {
        metadata: ObjectMeta { name: Some(name.to_owned()), labels: Some(labels), ..ObjectMeta::default() },
        data: Some(BTreeMap::from([(names::KEY_FIELD.to_owned(), pem)])),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
}

/// Makes the Secret with the key of every Site that has none: the key that it had if this operator knows it, a new one if it
/// never had one. A Secret that exists, be it damaged, is never replaced; neither is a key that is lost. `had` is by the uid of the Site.
pub(crate) fn make_site_keys(
    writer: &mut Writer,
    namespace: &str,
    plans: &[SitePlan<'_>],
    had: &BTreeMap<String, SiteKey>,
) {
    for plan in plans.iter().filter(|plan| plan.key.as_ref().err() == Some(&KeyState::Missing)) {
        let key = match plan.judged.site.uid().and_then(|uid| had.get(&uid)) {
            Some(key) => {
                tracing::warn!(site = plan.name(), "the Secret with the key of a Site is gone, it is made again");
                Ok(key.clone())
            }
            None => SiteKey::generate(),
        };
        let labels = BTreeMap::from([(names::SITE_LABEL.to_owned(), plan.name())]);
        match key {
            Ok(key) => {
                let mut secret = key_secret(&names::identity(&plan.name()), labels, &key);
                secret.metadata.namespace = Some(namespace.to_owned());
                writer.create(secret);
            }
            Err(error) => {
                tracing::warn!(site = plan.name(), %error, "cannot make the key of a Site, it is tried again")
            }
        }
    }
}
