//! A document without its secrets, for `GET config` and for people.

use super::Document;
use super::text::{REDACTED, SecretValue};

impl Document {
    /// Returns the document with every secret replaced, also credentials and queries inside URLs.
    #[must_use]
    pub fn redacted(&self) -> Self {
        let mut document = self.clone();
        if let Some(crypto) = &mut document.crypto {
            hide(&mut crypto.key);
            hide(&mut crypto.secondary_key);
        }
        if let Some(mqtt) = document.message_channel.as_mut().and_then(|channel| channel.mqtt.as_mut()) {
            hide(&mut mqtt.password);
            mqtt.broker_server.iter_mut().for_each(hide_in_url);
        }
        let sockets = document.tunnel.iter_mut().flat_map(|tunnel| &mut tunnel.local_sockets);
        sockets.filter_map(|socket| socket.http_detector.as_mut()?.url.as_mut()).for_each(hide_in_url);
        if let Some(auth) = document.restful_api.as_mut().and_then(|api| api.auth.as_mut()) {
            auth.basic_auth.iter_mut().for_each(|user| hide(&mut user.password));
            auth.bearer_tokens.iter_mut().for_each(|token| *token = SecretValue::new(REDACTED));
        }
        document
    }
}

fn hide(secret: &mut Option<SecretValue>) {
    if secret.is_some() {
        *secret = Some(SecretValue::new(REDACTED));
    }
}

fn hide_in_url(url: &mut SecretValue) {
    *url = SecretValue::new(redact_url(url.expose()));
}

/// Replaces the credentials and the query of a URL. Works on text that is no valid URL too: everything before the last
/// `@` could be a password.
pub(crate) fn redact_url(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('@') => (format!("{scheme}://"), rest),
        _ => (String::new(), url),
    };
    let (credentials, rest) = match rest.rsplit_once('@') {
        Some((_, rest)) => (format!("{REDACTED}@"), rest),
        None => (String::new(), rest),
    };
    match rest.find(['?', '#']) {
        Some(end) => format!("{scheme}{credentials}{}?{REDACTED}", &rest[..end]),
        None => format!("{scheme}{credentials}{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn urls_keep_what_is_no_secret() {
        for (url, redacted) in [
            ("mqtt://host:1883", "mqtt://host:1883"),
            ("mqtts://user:secret@host", "mqtts://<redacted>@host"),
            ("mqtts://user:sec@ret@host", "mqtts://<redacted>@host"),
            ("wss://host/mqtt?token=secret", "wss://host/mqtt?<redacted>"),
            ("user:secret@host", "<redacted>@host"),
            ("mqtt:/user:secret@host", "<redacted>@host"),
        ] {
            assert_eq!(redact_url(url), redacted);
        }
    }

    #[test]
    fn every_secret_of_a_document_is_replaced() {
        let document = Document::read(
            br"
crypto: { key: s3cret-1, secondaryKey: s3cret-2 }
messageChannel:
  mqtt:
    brokerServer: ['mqtts://me:s3cret-3@broker', 'wss://broker/x?s3cret-4']
    user: me
    password: s3cret-5
tunnel:
  localSockets: [{ httpDetector: { url: 'https://me:s3cret-6@detector/' } }]
restfulApi:
  auth: { basicAuth: [{ user: me, password: s3cret-7 }], bearerTokens: [s3cret-8] }
",
        )
        .expect("document");
        assert!(!format!("{document:?}").contains("s3cret"));
        let text = serde_json::to_string(&document.redacted()).expect("json");
        assert!(!text.contains("s3cret"), "{text}");
        assert_eq!(text.matches(REDACTED).count(), 8);
        assert!(text.contains(r#""user":"me""#));
    }

    proptest! {
        #[test]
        fn what_stands_before_an_at_sign_never_survives(before in "[a-z:/]{0,9}", secret in "[0-9]{6,9}", after in "[a-z./]{0,9}") {
            let redacted = redact_url(&format!("{before}{secret}@{after}"));
            // Without a scheme the whole text before the sign goes; with one, what follows it.
            prop_assert!(!redacted.contains(&secret), "{}", redacted);
        }
    }
}
