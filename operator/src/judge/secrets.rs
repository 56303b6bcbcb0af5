//! What the Secrets of a Site hold.

use wovenet_config::key::MeshKeyText;
use wovenet_crds::Site;
use wovenet_crds::condition::Reason;
use wovenet_crds::site::{PRIMARY_KEY, SECONDARY_KEY};

use super::{References, Refusal};
use crate::collect::Snapshot;
use crate::render::document::CA_FIELD;

/// The mesh keys of a Site, in their generated form.
#[derive(Clone, PartialEq, Eq)]
pub struct MeshKeys {
    /// The one in use.
    pub primary: String,
    /// The other one, during a rotation.
    pub secondary: Option<String>,
}

/// User and password for brokers.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
}

impl std::fmt::Debug for MeshKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MeshKeys").field("secondary", &self.secondary.is_some()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// Reads what a Site refers to.
pub(super) fn read(site: &Site, known: &Snapshot) -> Result<References, Refusal> {
    let secret = &site.spec.key_secret_ref.name;
    let primary = mesh_key(known, secret, PRIMARY_KEY)?.ok_or_else(|| lacks(secret, PRIMARY_KEY))?;
    let secondary = mesh_key(known, secret, SECONDARY_KEY)?;
    let mqtt = site.spec.message_channel.as_ref().map(|channel| &channel.mqtt);
    if let Some(ca) = mqtt.and_then(|mqtt| mqtt.ca_secret_ref.as_ref()) {
        text(known, &ca.name, CA_FIELD)?.ok_or_else(|| lacks(&ca.name, CA_FIELD))?;
    }
    let credentials = match mqtt.and_then(|mqtt| mqtt.credentials_secret_ref.as_ref()) {
        None => None,
        Some(reference) => {
            let filled = |text: &String| !text.is_empty();
            let field = |field| {
                text(known, &reference.name, field)?.filter(filled).ok_or_else(|| lacks(&reference.name, field))
            };
            Some(Credentials { user: field("username")?, password: field("password")? })
        }
    };
    Ok(References { keys: MeshKeys { primary, secondary }, credentials })
}

fn mesh_key(known: &Snapshot, secret: &str, field: &str) -> Result<Option<String>, Refusal> {
    let Some(text) = text(known, secret, field)? else { return Ok(None) };
    match MeshKeyText::parse(&text) {
        Ok(MeshKeyText::Generated(_)) => Ok(Some(text)),
        _ => {
            let message = format!(
                "{field} of Secret {secret} is no generated mesh key: put in the output of wovenet-agent keygen, or of \
                 wovenet-agent keygen --from-passphrase"
            );
            Err((Reason::SecretMalformed, message))
        }
    }
}

/// Returns a field as text, without the line end that a shell leaves.
fn text(known: &Snapshot, secret: &str, field: &str) -> Result<Option<String>, Refusal> {
    if !known.secrets.contains_key(secret) {
        return Err((Reason::SecretNotFound, format!("Secret {secret} does not exist in the namespace of the Site")));
    }
    let Some(bytes) = known.secret_field(secret, field) else { return Ok(None) };
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned())),
        Err(_) => Err((Reason::SecretMalformed, format!("{field} of Secret {secret} is not text"))),
    }
}

fn lacks(secret: &str, field: &str) -> Refusal {
    (Reason::SecretMalformed, format!("Secret {secret} has no {field}"))
}
