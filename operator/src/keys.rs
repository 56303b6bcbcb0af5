//! Private keys that the operator makes: its own, by which agents know it, and one for each Site.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::{Api, Client};
use wovenet_identity::SiteKey;

use crate::apply::{ApplyError, within};
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
async fn create_key(api: &Api<Secret>, name: &str, mut labels: BTreeMap<String, String>) -> anyhow::Result<()> {
    labels.insert(names::MANAGED_BY.0.to_owned(), names::MANAGED_BY.1.to_owned());
    let pem = SiteKey::generate()?.to_pem();
    let secret = Secret {
        metadata: ObjectMeta { name: Some(name.to_owned()), labels: Some(labels), ..ObjectMeta::default() },
        data: Some(BTreeMap::from([(names::KEY_FIELD.to_owned(), ByteString(pem.as_bytes().to_vec()))])),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    };
    match within(api.create(&PostParams::default(), &secret)).await {
        Ok(_) => tracing::info!(secret = name, "made a key"),
        Err(ApplyError::Api(kube::Error::Api(status))) if status.code == 409 => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Makes a key for every Site that has none. One that exists, be it damaged, is never replaced.
pub(crate) async fn make_site_keys(client: &Client, namespace: &str, plans: &[SitePlan<'_>]) {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    for plan in plans.iter().filter(|plan| plan.key.as_ref().err() == Some(&KeyState::Missing)) {
        let labels = BTreeMap::from([(names::SITE_LABEL.to_owned(), plan.name())]);
        if let Err(error) = create_key(&api, &names::identity(&plan.name()), labels).await {
            tracing::warn!(site = plan.name(), %error, "cannot make the key of a Site, it is tried again");
        }
    }
}
