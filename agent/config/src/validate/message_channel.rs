//! Judges the brokers and the topic.

use std::path::PathBuf;

use crate::document::{self, Document, SecretValue};
use crate::message_channel::{BROKER_DEFAULT, BROKERS_MAX, Broker, BrokerTransport, Mqtt, TOPIC_MAX_BYTES};
use crate::secret::SecretText;

use super::report::Report;

const BROKER_SERVER: &str = "messageChannel.mqtt.brokerServer";
const TOPIC: &str = "messageChannel.mqtt.topic";

/// `None` is an error; `Some(None)` is no broker, because static peers are listed.
#[expect(clippy::option_option, reason = "an error and no broker are different")]
pub(super) fn mqtt(document: &Document, report: &mut Report) -> Option<Option<Mqtt>> {
    let Some(channel) = &document.message_channel else {
        if document.peers.is_empty() {
            report
                .error("messageChannel", "is required: `protocol: mqtt` and the brokers, or static peers under peers");
            return None;
        }
        return Some(None);
    };
    let protocol = match super::filled(channel.protocol.as_deref()) {
        None => {
            report.error("messageChannel.protocol", "is required: mqtt");
            None
        }
        protocol => report.word_of_any_case("messageChannel.protocol", protocol, &[("mqtt", ())]),
    };
    let mqtt = channel.mqtt.clone().unwrap_or_default();
    let brokers = brokers(&mqtt, report);
    let topic = mqtt.topic.as_deref().and_then(|topic| self::topic(topic, report));
    protocol.map(|_| Some(Mqtt { brokers, topic }))
}

fn brokers(mqtt: &document::Mqtt, report: &mut Report) -> Vec<Broker> {
    report.at_most(BROKER_SERVER, mqtt.broker_server.len(), BROKERS_MAX);
    let default = [SecretValue::new(BROKER_DEFAULT)];
    let urls = if mqtt.broker_server.is_empty() { &default[..] } else { &mqtt.broker_server };
    let credentials = credentials(mqtt, report);
    let ca_file = super::path("messageChannel.mqtt.caFile", mqtt.ca_file.as_deref(), report);
    let brokers: Vec<Broker> = urls
        .iter()
        .take(BROKERS_MAX)
        .enumerate()
        .filter_map(|(index, url)| broker(index, url.expose(), credentials.as_ref(), ca_file.as_ref(), report))
        .collect();
    check_unique(&brokers, report);
    let encrypted = |broker: &Broker| matches!(broker.transport, BrokerTransport::Tls | BrokerTransport::WebSocketTls);
    if ca_file.is_some() && !brokers.is_empty() && !brokers.iter().any(encrypted) {
        report.warning("messageChannel.mqtt.caFile", "has no effect: no broker is mqtts:// or wss://");
    }
    if let Some(broker) = brokers.iter().find(|broker| broker.credentials.is_some() && !encrypted(broker)) {
        let message = format!("{} gets its password in clear; use mqtts:// or wss://", broker.display_url());
        report.warning(BROKER_SERVER, message);
    }
    brokers
}

fn broker(
    index: usize,
    url: &str,
    credentials: Option<&(String, SecretText)>,
    ca_file: Option<&PathBuf>,
    report: &mut Report,
) -> Option<Broker> {
    let path = format!("{BROKER_SERVER}[{index}]");
    match Broker::parse(url) {
        Ok(mut broker) => {
            broker.credentials = broker.credentials.or_else(|| credentials.cloned());
            broker.ca_file = ca_file.cloned();
            Some(broker)
        }
        Err(error) => {
            let url = crate::problem::shown(&document::redact_url(url));
            report.error(path, format!("{url} {error}"));
            None
        }
    }
}

fn check_unique(brokers: &[Broker], report: &mut Report) {
    for (index, broker) in brokers.iter().enumerate() {
        if brokers[..index].iter().any(|other| other.display_url() == broker.display_url()) {
            report.warning(BROKER_SERVER, format!("{} is listed twice", broker.display_url()));
        }
    }
}

fn credentials(mqtt: &document::Mqtt, report: &mut Report) -> Option<(String, SecretText)> {
    let user = super::filled(mqtt.user.as_deref());
    let password = mqtt.password.as_ref().map(|password| password.0.clone());
    match (user, password) {
        (Some(user), password) => Some((user.to_owned(), password.unwrap_or_else(|| SecretText::new("")))),
        (None, Some(password)) if !password.expose().is_empty() => {
            report.error("messageChannel.mqtt.password", "has no user: set messageChannel.mqtt.user too");
            None
        }
        (None, _) => None,
    }
}

fn topic(topic: &str, report: &mut Report) -> Option<String> {
    let quoted = crate::problem::shown(topic);
    let wrong = match topic {
        "" => "is empty; leave the key out to derive a topic from the mesh key".to_owned(),
        _ if topic.len() > TOPIC_MAX_BYTES => {
            format!("has {} bytes, at most {TOPIC_MAX_BYTES} are allowed", topic.len())
        }
        _ if topic.contains(['+', '#']) => format!("{quoted} has + or #, which are wildcards; use other characters"),
        _ if topic.chars().any(char::is_control) => format!("{quoted} has a NUL or another control character"),
        _ if topic.starts_with('/') => format!("{quoted} starts with /; leave the slash out"),
        _ if topic.starts_with('$') => format!("{quoted} starts with $, which brokers keep for themselves"),
        _ => return Some(topic.to_owned()),
    };
    report.error(TOPIC, wrong);
    None
}
