//! Puts secrets back into a redacted document that a person read, changed and sent back.
//!
//! Pure. Each placeholder must lead to exactly one secret of the running document; a guess could send a password to the
//! wrong place, so doubt is a problem that names the key.

use wovenet_config::Problem;
use wovenet_config::document::text::REDACTED;
use wovenet_config::document::{BasicAuth, Document, SecretValue};

/// Replaces every placeholder of `document` by the secret of `running` that it stands for.
///
/// # Errors
/// A problem for each placeholder that stands for none, or for more than one.
pub(super) fn restore(mut document: Document, running: &Document) -> Result<Document, Vec<Problem>> {
    let hidden = running.redacted();
    let mut written = secrets(&mut document);
    let (mut running, mut hidden) = (running.clone(), hidden);
    let known: Vec<(Slot, String)> = taken(secrets(&mut running));
    let shown: Vec<(Slot, String)> = taken(secrets(&mut hidden));
    let offered: Vec<(Slot, String)> =
        written.iter().map(|(slot, secret)| (slot.clone(), secret.expose().to_owned())).collect();
    let mut problems = Vec::new();
    for (index, (slot, secret)) in written.iter_mut().enumerate() {
        if !secret.expose().contains(REDACTED) {
            continue;
        }
        match original(&offered, index, &known, &shown) {
            Some(original) => **secret = SecretValue::new(original),
            None => problems.push(Problem::error(slot.path.clone(), MESSAGE)),
        }
    }
    if problems.is_empty() { Ok(document) } else { Err(problems) }
}

const MESSAGE: &str =
    "has <redacted>, which does not stand for exactly one secret of the running configuration; write the secret itself";

/// Where a secret stands.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Slot {
    /// Its key, for messages.
    path: String,
    /// Secrets of one group can stand for each other: the same key, the same user, the same list.
    group: String,
}

fn taken(secrets: Vec<(Slot, &mut SecretValue)>) -> Vec<(Slot, String)> {
    secrets.into_iter().map(|(slot, secret)| (slot, secret.expose().to_owned())).collect()
}

/// Finds the secret whose redacted form was sent back: the only one, or the one in the same place among as many.
fn original(
    offered: &[(Slot, String)],
    index: usize,
    known: &[(Slot, String)],
    shown: &[(Slot, String)],
) -> Option<String> {
    let (slot, text) = &offered[index];
    let is_alike = |(other, form): &&(Slot, String)| other.group == slot.group && form == text;
    let pairs = shown.iter().zip(known).filter(|(shown, _)| is_alike(shown));
    let candidates: Vec<&String> = pairs.map(|(_, (_, secret))| secret).collect();
    let place = offered[..index].iter().filter(is_alike).count();
    let alike = offered.iter().filter(is_alike).count();
    match candidates.as_slice() {
        [first, rest @ ..] if rest.iter().all(|other| other == first) => Some((*first).clone()),
        several if several.len() == alike => several.get(place).map(|secret| (*secret).clone()),
        _ => None,
    }
}

/// Lists every secret of a document, in one order.
fn secrets(document: &mut Document) -> Vec<(Slot, &mut SecretValue)> {
    let mut secrets = Vec::new();
    if let Some(crypto) = &mut document.crypto {
        secrets.extend(crypto.key.as_mut().map(|key| alone("crypto.key", key)));
        secrets.extend(crypto.secondary_key.as_mut().map(|key| alone("crypto.secondaryKey", key)));
    }
    if let Some(mqtt) = document.message_channel.as_mut().and_then(|channel| channel.mqtt.as_mut()) {
        let brokers = mqtt.broker_server.iter_mut().enumerate();
        secrets.extend(brokers.map(|(index, url)| listed("messageChannel.mqtt.brokerServer", index, "", url)));
        secrets.extend(mqtt.password.as_mut().map(|password| alone("messageChannel.mqtt.password", password)));
    }
    let sockets = document.tunnel.iter_mut().flat_map(|tunnel| &mut tunnel.local_sockets).enumerate();
    secrets.extend(sockets.filter_map(|(index, socket)| {
        let url = socket.http_detector.as_mut()?.url.as_mut()?;
        Some(listed("tunnel.localSockets", index, ".httpDetector.url", url))
    }));
    if let Some(auth) = document.restful_api.as_mut().and_then(|api| api.auth.as_mut()) {
        secrets.extend(auth.basic_auth.iter_mut().enumerate().filter_map(password));
        let tokens = auth.bearer_tokens.iter_mut().enumerate();
        secrets.extend(tokens.map(|(index, token)| listed("restfulApi.auth.bearerTokens", index, "", token)));
    }
    secrets
}

fn alone<'a>(path: &str, secret: &'a mut SecretValue) -> (Slot, &'a mut SecretValue) {
    (Slot { path: path.to_owned(), group: path.to_owned() }, secret)
}

fn listed<'a>(list: &str, index: usize, key: &str, secret: &'a mut SecretValue) -> (Slot, &'a mut SecretValue) {
    (Slot { path: format!("{list}[{index}]{key}"), group: list.to_owned() }, secret)
}

fn password((index, user): (usize, &mut BasicAuth)) -> Option<(Slot, &mut SecretValue)> {
    let path = format!("restfulApi.auth.basicAuth[{index}].password");
    let group = format!("restfulApi.auth.basicAuth of {}", user.user.as_deref().unwrap_or_default());
    Some((Slot { path, group }, user.password.as_mut()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNNING: &str = "
crypto: { key: s3cret-1, secondaryKey: s3cret-2 }
messageChannel:
  mqtt: { brokerServer: ['mqtts://a:s3cret-3@broker', 'mqtts://b:s3cret-4@broker', 'mqtt://open'], password: s3cret-5 }
tunnel: { localSockets: [{ httpDetector: { url: 'https://me:s3cret-6@detector/' } }] }
restfulApi:
  auth:
    basicAuth: [{ user: ann, password: s3cret-7 }, { user: ben, password: s3cret-8 }]
    bearerTokens: [s3cret-9, s3cret-10]
";

    fn running() -> Document {
        Document::read(RUNNING.as_bytes()).unwrap()
    }

    #[test]
    fn a_redacted_document_is_restored_whole() {
        assert_eq!(restore(running().redacted(), &running()), Ok(running()));
    }

    #[test]
    fn a_password_follows_its_user_and_new_secrets_are_kept() {
        let mut changed = running().redacted();
        let auth = changed.restful_api.as_mut().unwrap().auth.as_mut().unwrap();
        auth.basic_auth.reverse();
        auth.bearer_tokens = vec![SecretValue::new("new")];
        let restored = restore(changed, &running()).unwrap();
        let auth = restored.restful_api.unwrap().auth.unwrap();
        assert_eq!(auth.basic_auth[0].password.as_ref().unwrap().expose(), "s3cret-8");
        assert_eq!(auth.bearer_tokens[0].expose(), "new");
    }

    #[test]
    fn a_placeholder_in_doubt_is_a_problem_that_names_its_key() {
        let mut changed = running().redacted();
        changed.message_channel.as_mut().unwrap().mqtt.as_mut().unwrap().broker_server.remove(0);
        changed.restful_api.as_mut().unwrap().auth.as_mut().unwrap().basic_auth[0].user = Some("cleo".into());
        let problems = restore(changed, &running()).unwrap_err();
        let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(paths, ["messageChannel.mqtt.brokerServer[0]", "restfulApi.auth.basicAuth[0].password"]);
    }

    #[test]
    fn a_secret_never_follows_a_changed_host() {
        let mut changed = running().redacted();
        let socket = &mut changed.tunnel.as_mut().unwrap().local_sockets[0];
        socket.http_detector.as_mut().unwrap().url = Some(SecretValue::new("https://<redacted>@elsewhere/"));
        assert_eq!(restore(changed, &running()).unwrap_err()[0].path, "tunnel.localSockets[0].httpDetector.url");
    }
}
