//! The keys that a person's file may have, and how weakly each value is read.

/// One key of a section.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: FieldKind,
}

/// What a value must be, after weak typing.
#[derive(Clone, Copy)]
pub(super) enum FieldKind {
    /// Text; numbers are common here and harmless without quotes.
    Text,
    /// Text that names something, where an unquoted number is probably a slip.
    Name,
    /// Text that no message may repeat.
    Secret,
    /// A whole number.
    Number,
    /// True or false.
    Boolean,
    /// A duration; a number is seconds.
    Duration,
    /// A list of texts; one text is split at commas.
    Texts,
    /// As [`Self::Texts`], and no message may repeat one.
    Secrets,
    /// As [`Self::Secrets`], and a comma inside of a URL does not split it.
    Urls,
    /// A map.
    Section(&'static [Field]),
    /// A list of maps; one map is a list of one.
    Sections(&'static [Field]),
}

use FieldKind::{Boolean, Duration, Name, Number, Secret, Secrets, Section, Sections, Text, Texts, Urls};

const fn field(name: &'static str, kind: FieldKind) -> Field {
    Field { name, kind }
}

/// The keys of the file itself.
pub(super) const ROOT: &[Field] = &[
    field("siteName", Name),
    field("crypto", Section(&[field("key", Secret), field("secondaryKey", Secret)])),
    field("trust", Text),
    field("logger", Section(&[field("level", Text), field("format", Text), field("file", Text)])),
    field("messageChannel", Section(&[field("protocol", Text), field("mqtt", Section(MQTT))])),
    field("tunnel", Section(TUNNEL)),
    field("peers", Sections(&[field("siteName", Name), field("publicKey", Text), field("addresses", Texts)])),
    field("deniedKeys", Texts),
    field("unpin", Sections(&[field("siteName", Name), field("publicKey", Text)])),
    field("localExposedApps", Sections(EXPOSED_APP)),
    field("remoteApps", Sections(REMOTE_APP)),
    field("restfulApi", Section(RESTFUL_API)),
    field("health", Section(&[field("enabled", Boolean), field("listenAddr", Text)])),
    field("stateDir", Text),
    field("siteKeyFile", Text),
    field("peersFile", Text),
    field("nodeName", Text),
    field("revision", Number),
    field("stun", Texts),
];

const MQTT: &[Field] = &[
    field("brokerServer", Urls),
    field("topic", Text),
    // Some brokers take a token as the user name.
    field("user", Secret),
    field("password", Secret),
    field("caFile", Text),
];

const TUNNEL: &[Field] = &[
    field("localSockets", Sections(LOCAL_SOCKET)),
    field("channelsPerSite", Number),
    field("congestionControl", Text),
    field("workers", Number),
];

const LOCAL_SOCKET: &[Field] = &[
    field("mode", Text),
    field("transportProtocol", Text),
    field("publicAddress", Text),
    field("publicPort", Number),
    field("listenAddress", Text),
    field("listenPort", Number),
    field("httpDetector", Section(&[field("url", Secret)])),
    field("stunDetector", Section(&[field("servers", Texts)])),
    field("nodeAddresses", Sections(&[field("nodeName", Text), field("address", Text)])),
    field("scope", Text),
];

const EXPOSED_APP: &[Field] = &[
    field("appName", Name),
    field("mode", Text),
    field("appSocket", Text),
    field("ports", Sections(&[field("name", Name), field("appSocket", Text)])),
    field("portRange", Texts),
    field("addressRange", Texts),
    field("allowedSites", Texts),
    field("maxConnections", Number),
    field("idleTimeout", Duration),
    field("connectTimeout", Duration),
    field("proxyProtocol", Boolean),
];

const REMOTE_APP: &[Field] = &[
    field("siteName", Name),
    field("appName", Name),
    field("providers", Sections(PROVIDER)),
    field("localSocket", Text),
    field("appSocket", Text),
    field("port", Text),
    field("connectTimeout", Duration),
    field("idleTimeout", Duration),
    field("maxConnections", Number),
    field("maxConnectionsPerClient", Number),
];

const PROVIDER: &[Field] =
    &[field("siteName", Name), field("appName", Name), field("priority", Number), field("weight", Number)];

const RESTFUL_API: &[Field] = &[
    field("enabled", Boolean),
    field("listenAddr", Text),
    field("logger", Section(&[field("file", Text)])),
    field("tls", Section(&[field("enabled", Boolean), field("key", Text), field("cert", Text)])),
    field("auth", Section(AUTH)),
];

const AUTH: &[Field] = &[
    field("basicAuth", Sections(&[field("user", Name), field("password", Secret)])),
    field("bearerTokens", Secrets),
    field("operatorKey", Text),
];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn every_key_of_the_schema_reaches_the_document() {
        let file = include_bytes!("../../tests/examples/every-key.yaml");
        let loaded = crate::load("every-key.yaml", file, &std::collections::BTreeMap::new()).expect("good");
        assert_eq!(loaded.warnings, []);
        let document = serde_json::to_value(&loaded.document).expect("json");
        check("", ROOT, &[&document]);
    }

    /// Each key must be in one of the sections at least.
    fn check(path: &str, fields: &[Field], sections: &[&Value]) {
        for field in fields {
            let path = format!("{path}.{}", field.name);
            let values: Vec<&Value> = sections.iter().filter_map(|section| section.get(field.name)).collect();
            assert!(!values.is_empty(), "{path} is in the schema, but not in the document or in every-key.yaml");
            match field.kind {
                Section(fields) => check(&path, fields, &values),
                Sections(fields) => {
                    let items: Vec<&Value> = values.iter().filter_map(|value| value.as_array()).flatten().collect();
                    check(&path, fields, &items);
                }
                _ => {}
            }
        }
    }
}
