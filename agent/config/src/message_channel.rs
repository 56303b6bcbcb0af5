//! The MQTT brokers through which sites find each other.

use std::path::PathBuf;

use url::{Host, Url};

use crate::nearest::advice;
use crate::peer::is_host_name;
use crate::problem::shown;
use crate::secret::SecretText;

/// The broker used when none is configured (as in wovenet).
pub const BROKER_DEFAULT: &str = "mqtt://mqtt.eclipseprojects.io:1883";
/// The longest base topic, in bytes.
pub const TOPIC_MAX_BYTES: usize = 200;
/// The most brokers of one site.
pub const BROKERS_MAX: usize = 8;

/// Brokers and the base topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mqtt {
    /// All are used at once; at least one.
    pub brokers: Vec<Broker>,
    /// Base topic without wildcards; `None` derives one from the mesh key.
    pub topic: Option<String>,
}

/// One broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// How to reach it.
    pub transport: BrokerTransport,
    /// Name or address, IPv6 without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Path and query for WebSockets, with the leading slash.
    pub path: String,
    /// User name and password.
    pub credentials: Option<(String, SecretText)>,
    /// PEM file with the certificate authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
}

/// How MQTT is carried to the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerTransport {
    /// `mqtt://`
    Tcp,
    /// `mqtts://`
    Tls,
    /// `ws://`
    WebSocket,
    /// `wss://`
    WebSocketTls,
}

impl Broker {
    /// Returns the broker as a URL without credentials and query, for logs and status.
    pub fn display_url(&self) -> String {
        let scheme = match self.transport {
            BrokerTransport::Tcp => "mqtt",
            BrokerTransport::Tls => "mqtts",
            BrokerTransport::WebSocket => "ws",
            BrokerTransport::WebSocketTls => "wss",
        };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        // The query of a WebSocket URL may hold a token.
        let path = self.path.split('?').next().unwrap_or_default();
        format!("{scheme}://{host}:{}{path}", self.port)
    }
}

/// Why a broker's URL was refused. Never holds the URL, which may have a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokerError {
    /// No `scheme://`.
    #[error("is no broker URL; write it like mqtt://broker.example.com:1883 or mqtts://broker.example.com")]
    Form,
    /// Another scheme.
    #[error("has the unsupported scheme {0}; {1}")]
    Scheme(String, String),
    /// No host, or a malformed one.
    #[error("has no valid host; write it like mqtt://broker.example.com:1883")]
    Host,
    /// Not 1 to 65535.
    #[error("has no valid port; a port is a number from 1 to 65535")]
    Port,
    /// MQTT over TCP has no path.
    #[error("has a path, which only ws:// and wss:// can have; leave it out")]
    Path,
    /// Credentials that are no UTF-8 after percent-decoding, or a password without user.
    #[error("has malformed credentials; percent-encode special characters, as in mqtts://user:p%40ss@host")]
    Credentials,
}

impl Broker {
    /// Reads `mqtt://`, `mqtts://`, `ws://` or `wss://` with optional credentials, port and path.
    ///
    /// # Errors
    /// [`BrokerError`] says which part is wrong.
    pub fn parse(text: &str) -> Result<Self, BrokerError> {
        let (scheme, _) = text.split_once("://").ok_or(BrokerError::Form)?;
        let (transport, default_port) = match scheme.to_ascii_lowercase().as_str() {
            "mqtt" => (BrokerTransport::Tcp, 1883),
            "mqtts" => (BrokerTransport::Tls, 8883),
            "ws" => (BrokerTransport::WebSocket, 80),
            "wss" => (BrokerTransport::WebSocketTls, 443),
            other => return Err(unsupported(other)),
        };
        let url = Url::parse(text).map_err(|error| match error {
            url::ParseError::InvalidPort => BrokerError::Port,
            _ => BrokerError::Host,
        })?;
        let host = match url.host() {
            Some(Host::Domain(name)) if is_host_name(name) => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            _ => return Err(BrokerError::Host),
        };
        let port = url.port().unwrap_or(default_port);
        if port == 0 {
            return Err(BrokerError::Port);
        }
        let credentials = credentials(&url)?;
        Ok(Self { transport, host, port, path: path(&url, transport)?, credentials, ca_file: None })
    }
}

fn unsupported(scheme: &str) -> BrokerError {
    let advice = match scheme {
        "tcp" => "did you mean mqtt?".to_owned(),
        "ssl" | "tls" => "did you mean mqtts?".to_owned(),
        "http" => "did you mean ws?".to_owned(),
        "https" => "did you mean wss?".to_owned(),
        // Anything could stand before `://`, so only a word is compared and shown.
        _ => advice(scheme, &["mqtt", "mqtts", "ws", "wss"]),
    };
    let is_word = !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let scheme = if is_word { shown(scheme) } else { "before ://".to_owned() };
    BrokerError::Scheme(scheme, advice)
}

fn path(url: &Url, transport: BrokerTransport) -> Result<String, BrokerError> {
    let is_web_socket = matches!(transport, BrokerTransport::WebSocket | BrokerTransport::WebSocketTls);
    match (is_web_socket, url.path(), url.query()) {
        (true, path, None) => Ok(path.to_owned()),
        (true, path, Some(query)) => Ok(format!("{path}?{query}")),
        (false, "" | "/", None) => Ok(String::new()),
        (false, ..) => Err(BrokerError::Path),
    }
}

fn credentials(url: &Url) -> Result<Option<(String, SecretText)>, BrokerError> {
    let user = percent_decoded(url.username())?;
    let password = url.password().map(percent_decoded).transpose()?;
    match (user.is_empty(), password) {
        (true, None) => Ok(None),
        (true, Some(_)) => Err(BrokerError::Credentials),
        (false, password) => Ok(Some((user, SecretText::new(password.unwrap_or_default())))),
    }
}

fn percent_decoded(text: &str) -> Result<String, BrokerError> {
    percent_encoding::percent_decode_str(text)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| BrokerError::Credentials)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn broker(text: &str) -> Broker {
        Broker::parse(text).expect(text)
    }

    #[test]
    fn each_scheme_has_its_port() {
        for (text, shown) in [
            ("mqtt://broker", "mqtt://broker:1883"),
            ("MQTT://broker:1884/", "mqtt://broker:1884"),
            ("mqtts://broker.example.com", "mqtts://broker.example.com:8883"),
            ("ws://broker", "ws://broker:80/"),
            ("wss://broker/mqtt", "wss://broker:443/mqtt"),
            ("wss://broker:8443/mqtt?token=secret", "wss://broker:8443/mqtt"),
            ("mqtt://[2001:db8::1]:1883", "mqtt://[2001:db8::1]:1883"),
            ("mqtt://192.0.2.1", "mqtt://192.0.2.1:1883"),
            ("mqtt://mosquitto_1:1883", "mqtt://mosquitto_1:1883"),
        ] {
            assert_eq!(broker(text).display_url(), shown);
        }
        assert_eq!(broker("wss://broker/mqtt?token=secret").path, "/mqtt?token=secret");
    }

    #[test]
    fn credentials_are_percent_decoded() {
        for text in ["mqtts://m%40e:p%3Ass@broker", "wss://m%40e:p%3Ass@broker"] {
            assert_eq!(broker(text).credentials, Some(("m@e".to_owned(), SecretText::new("p:ss"))));
        }
        assert_eq!(broker("mqtt://me@broker").credentials, Some(("me".to_owned(), SecretText::new(""))));
        assert_eq!(broker("mqtt://broker").credentials, None);
    }

    #[test]
    fn bad_urls_are_refused_for_what_is_wrong() {
        for (text, error) in [
            ("broker:1883", BrokerError::Form),
            ("mqtt:broker", BrokerError::Form),
            ("mqtt://", BrokerError::Host),
            ("mqtt://:1883", BrokerError::Host),
            ("mqtt://a b", BrokerError::Host),
            ("mqtt://broker:70000", BrokerError::Port),
            ("mqtt://broker:0", BrokerError::Port),
            ("mqtt://broker/topic", BrokerError::Path),
            ("mqtts://:secret@broker", BrokerError::Credentials),
            ("mqtts://me:%ff@broker", BrokerError::Credentials),
        ] {
            assert_eq!(Broker::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn an_unknown_scheme_names_the_right_one() {
        for (text, part) in [
            ("tcp://broker", "did you mean mqtt?"),
            ("ssl://broker", "did you mean mqtts?"),
            ("mqqt://broker", "did you mean mqtt?"),
            ("https://broker", "did you mean wss?"),
            ("amqp://broker", "mqtts"),
        ] {
            let message = Broker::parse(text).expect_err(text).to_string();
            assert!(message.contains(part), "{message}");
        }
        let message = Broker::parse("me:secret@x://y").expect_err("scheme").to_string();
        assert!(!message.contains("secret"));
    }

    proptest! {
        #[test]
        fn a_password_is_in_no_error(user in "[a-z]{0,4}", host in "\\PC{0,12}") {
            if let Err(error) = Broker::parse(&format!("mqtts://{user}:123456@{host}")) {
                prop_assert!(!error.to_string().contains("123456"));
            }
        }

        #[test]
        fn no_text_panics(text in "(mqtts?|wss?)://\\PC{0,40}|\\PC{0,40}") {
            let _ = Broker::parse(&text);
        }
    }
}
