//! How a broker is connected to: address, TLS, credentials, limits and the will.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use rumqttc::{LastWill, MqttOptions, QoS, TlsConfiguration, Transport};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use wovenet_config::key::base32;
use wovenet_config::message_channel::{Broker, BrokerTransport};

use super::broker_state::{BrokerError, BrokerErrorClass};

/// MQTT keep-alive.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// From the first packet of TCP to the broker's CONNACK.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest MQTT packet that brokers are told to send, in bytes.
pub(super) const PACKET_MAX_BYTES: u32 = 8 * 1_024;
/// Messages that a broker may send before it waits for an acknowledgement.
const RECEIVE_MAX: u16 = 1_000;
/// Longest client id that every broker takes, in characters.
const CLIENT_ID_MAX_CHARS: usize = 23;

/// Whether a broker retains messages. Without, sites meet by hello and its answers alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retain {
    Available,
    Unavailable,
}

/// Makes a client id that strangers cannot guess: the mesh's prefix and random characters.
pub(super) fn client_id(prefix: &str) -> String {
    let mut random = [0u8; 16];
    let filled = rand::fill(&mut random).is_ok();
    let suffix = if filled { base32().encode(&random) } else { String::new() };
    format!("{prefix}-{suffix}").chars().take(CLIENT_ID_MAX_CHARS).collect()
}

/// Prepares the connection to a broker. Files are read anew, so that a changed CA is taken over.
pub(super) fn mqtt_options(
    broker: &Broker,
    client_id: &str,
    will: Option<LastWill>,
) -> Result<MqttOptions, BrokerError> {
    let mut options = with_transport(broker, client_id)?;
    if let Some((user, password)) = &broker.credentials {
        options.set_credentials(user.as_str(), password.expose().to_owned());
    }
    if let Some(will) = will {
        options.set_last_will(will);
    }
    options.set_keep_alive(u16::try_from(KEEP_ALIVE.as_secs()).unwrap_or(u16::MAX));
    options.set_connect_timeout(CONNECT_TIMEOUT);
    options.set_clean_start(true);
    options.set_max_packet_size(Some(PACKET_MAX_BYTES));
    options.set_receive_maximum(Some(RECEIVE_MAX));
    let address = (broker.host.clone(), broker.port);
    options.set_socket_connector(move |_, _| {
        let (host, port) = address.clone();
        async move {
            let stream = TcpStream::connect((host.as_str(), port)).await?;
            stream.set_nodelay(true)?;
            Ok(stream)
        }
    });
    Ok(options)
}

/// Describes a will, retained where the broker can.
pub(super) fn last_will(topic: String, payload: Vec<u8>, retain: Retain) -> LastWill {
    LastWill::new(topic, payload, QoS::AtLeastOnce, retain == Retain::Available, None)
}

fn with_transport(broker: &Broker, client_id: &str) -> Result<MqttOptions, BrokerError> {
    let invalid = |error: rumqttc::OptionError| BrokerError::new(BrokerErrorClass::Disconnected, error.to_string());
    let mut options = match broker.transport {
        BrokerTransport::Tcp | BrokerTransport::Tls => MqttOptions::new(client_id, (broker.host.clone(), broker.port)),
        BrokerTransport::WebSocket => {
            MqttOptions::new(client_id, rumqttc::Broker::websocket(broker.display_url()).map_err(invalid)?)
        }
        BrokerTransport::WebSocketTls => {
            let tls = TlsConfiguration::Rustls(tls_config(broker)?);
            MqttOptions::websocket_with_tls_config(client_id, broker.display_url(), tls).map_err(invalid)?
        }
    };
    if broker.transport == BrokerTransport::Tls {
        options.set_transport(Transport::Tls(TlsConfiguration::Rustls(tls_config(broker)?)));
    }
    Ok(options)
}

fn tls_config(broker: &Broker) -> Result<Arc<ClientConfig>, BrokerError> {
    let roots = match &broker.ca_file {
        Some(path) => roots_of_file(path)?,
        None => native_roots()?,
    };
    client_config(roots).map(Arc::new).map_err(|error| BrokerError::new(BrokerErrorClass::Tls, error.to_string()))
}

/// Builds the TLS configuration towards ordinary servers, which trust `roots` vouches for.
pub(super) fn client_config(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn roots_of_file(path: &Path) -> Result<RootCertStore, BrokerError> {
    let failed =
        |text: String| BrokerError::new(BrokerErrorClass::Tls, format!("the CA file {}: {text}", path.display()));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))? {
        let certificate = certificate.map_err(|error| failed(error.to_string()))?;
        roots.add(certificate).map_err(|error| failed(error.to_string()))?;
    }
    if roots.is_empty() { Err(failed("holds no certificate".into())) } else { Ok(roots) }
}

/// Loads the certificate authorities of the system.
pub(super) fn native_roots() -> Result<RootCertStore, BrokerError> {
    let mut roots = RootCertStore::empty();
    let loaded = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(loaded.certs);
    if roots.is_empty() {
        let text = "this system has no certificate authorities, name a CA file";
        return Err(BrokerError::new(BrokerErrorClass::Tls, text));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_ids_are_short_begin_alike_and_differ() {
        let (first, second) = (client_id("abcdefgh"), client_id("abcdefgh"));
        assert!(first.starts_with("abcdefgh-") && first.len() == CLIENT_ID_MAX_CHARS);
        assert_ne!(first, second);
    }

    #[test]
    fn a_ca_file_without_certificates_is_a_tls_error_that_names_it() {
        let temporary = tempfile::TempDir::new().unwrap();
        let path = temporary.path().join("ca.pem");
        assert!(roots_of_file(&path).unwrap_err().text.contains("ca.pem"));
        std::fs::write(&path, "nothing").unwrap();
        assert_eq!(roots_of_file(&path).unwrap_err().class, BrokerErrorClass::Tls);
    }
}
