//! What is known of one broker, for status and conditions.

use std::time::SystemTime;

use rumqttc::{ConnectReturnCode, ConnectionError, DisconnectReasonCode, StateError, TlsError};

/// The state of the connection to one broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerState {
    /// The broker, without credentials.
    pub url: String,
    /// Whether the agent is connected and subscribed.
    pub connected: bool,
    /// What is wrong, or was when the connection was last lost.
    pub error: Option<BrokerError>,
    /// Since when it is connected, or is not.
    pub since: SystemTime,
}

/// Why a broker cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct BrokerError {
    /// What to do about it.
    pub class: BrokerErrorClass,
    /// The cause, without credentials.
    pub text: String,
}

/// Classes of broker errors, as the condition `BrokerConnected` names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BrokerErrorClass {
    /// Not reachable, or no MQTT 5 broker.
    Disconnected,
    /// Its certificate is not trusted, or TLS failed otherwise; no credentials were sent.
    Tls,
    /// It refuses user, password, topic or client.
    Auth,
}

impl BrokerErrorClass {
    /// Returns the class as status and metrics name it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Disconnected => "disconnected",
            Self::Tls => "tls",
            Self::Auth => "auth",
        }
    }
}

impl BrokerError {
    pub(super) fn new(class: BrokerErrorClass, text: impl Into<String>) -> Self {
        Self { class, text: text.into() }
    }

    pub(super) fn of(error: &ConnectionError) -> Self {
        Self::new(class_of(error), error.to_string())
    }
}

fn class_of(error: &ConnectionError) -> BrokerErrorClass {
    match error {
        ConnectionError::Tls(TlsError::Io(io)) => class_of_io(io),
        ConnectionError::Tls(_) => BrokerErrorClass::Tls,
        ConnectionError::Io(io) | ConnectionError::MqttState(StateError::Io(io)) => class_of_io(io),
        ConnectionError::ConnectionRefused(code)
        | ConnectionError::MqttState(StateError::ConnFail { reason: code }) => class_of_refusal(*code),
        ConnectionError::MqttState(StateError::ServerDisconnect {
            reason_code: DisconnectReasonCode::NotAuthorized,
            ..
        }) => BrokerErrorClass::Auth,
        _ => BrokerErrorClass::Disconnected,
    }
}

fn class_of_io(error: &std::io::Error) -> BrokerErrorClass {
    let is_tls = error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
    if is_tls { BrokerErrorClass::Tls } else { BrokerErrorClass::Disconnected }
}

fn class_of_refusal(code: ConnectReturnCode) -> BrokerErrorClass {
    match code {
        ConnectReturnCode::BadUserNamePassword
        | ConnectReturnCode::NotAuthorized
        | ConnectReturnCode::Banned
        | ConnectReturnCode::BadAuthenticationMethod => BrokerErrorClass::Auth,
        _ => BrokerErrorClass::Disconnected,
    }
}

/// Tells whether the broker sent more than it was told to.
pub(super) fn is_oversized(error: &ConnectionError) -> bool {
    let ConnectionError::MqttState(state) = error else { return false };
    matches!(
        state,
        StateError::IncomingPacketTooLarge { .. }
            | StateError::Deserialization(rumqttc::Error::PayloadSizeLimitExceeded { .. })
    )
}
