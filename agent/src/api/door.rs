//! Who stands at the door: tells people, over TLS or plain TCP, from the operator, all on one port.
//!
//! The first byte tells TLS from HTTP. In TLS, whoever asks for a raw public key (RFC 7250) is the operator and must prove
//! the pinned one; everyone else gets the certificate.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{Acceptor, ClientHello};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use wovenet_config::api::Api;
use wovenet_config::key::PublicKey;

use super::certificates::Certificates;
use super::error::ApiError;
use crate::peer::site_key::SiteKey;
use wovenet_identity::{OPERATOR_ALPN, tls};

/// First byte of a TLS connection: a handshake record (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 0x16;
/// Certificate type of raw public keys in a ClientHello (RFC 7250 §7).
const RAW_PUBLIC_KEY: rustls::server::CertificateType = rustls::server::CertificateType::RawPublicKey;
/// The most that is read of a request which is refused anyway.
const DRAINED_MAX_BYTES: u64 = 64 << 10;
const PLAIN_TO_TLS: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 36\r\nConnection: close\r\n\r\nthis port speaks HTTPS, not HTTP\r\n\r\n";

/// Who a connection comes from, as far as the transport tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Someone who must show credentials in each request.
    Person,
    /// The operator, proven by its key.
    Operator,
}

/// What a handler may know of its connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    /// Its address.
    pub remote: SocketAddr,
    /// Who it is.
    pub side: Side,
}

/// Why a connection was not let in.
#[derive(Debug, thiserror::Error)]
pub(super) enum DoorError {
    #[error("the client left")]
    Left,
    #[error("plain HTTP on a port that speaks HTTPS")]
    PlainHttp,
    #[error("TLS on a port without a certificate")]
    NoCertificate,
    #[error("an operator's connection, but no operator is configured")]
    NoOperator,
    #[error("the connection failed: {0}")]
    Io(#[from] std::io::Error),
}

/// A connection that was let in.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// The door of the API's port.
pub(super) struct Door {
    people: Option<Certificates>,
    operator: Option<Arc<ServerConfig>>,
}

impl Door {
    /// Prepares TLS for people and for the operator, as configured. `identity` is the site's API key.
    ///
    /// # Errors
    /// [`ApiError`] names the file or the key that is missing.
    pub async fn prepare(config: &Api, identity: Option<&SiteKey>) -> Result<Self, ApiError> {
        let people = match &config.tls {
            Some(files) => Some(Certificates::load(files.clone()).await?),
            None => None,
        };
        let operator = match (config.operator_key, identity) {
            (None, _) => None,
            (Some(_), None) => return Err(ApiError::NoIdentity),
            (Some(key), Some(identity)) => Some(Arc::new(operator_config(identity, key)?)),
        };
        Ok(Self { people, operator })
    }

    /// Completes the handshake, if there is one. The caller bounds the time.
    pub async fn admit(&self, mut stream: TcpStream) -> Result<(Box<dyn Stream>, Side), DoorError> {
        stream.set_nodelay(true)?;
        let mut first = [0u8];
        match (stream.peek(&mut first).await?, first[0]) {
            (0, _) => Err(DoorError::Left),
            (_, TLS_HANDSHAKE) => self.admit_tls(stream).await,
            _ if self.people.is_some() => {
                stream.write_all(PLAIN_TO_TLS).await?;
                stream.shutdown().await?;
                // A socket that is closed with something unread would reset the answer away.
                tokio::io::copy(&mut stream.take(DRAINED_MAX_BYTES), &mut tokio::io::sink()).await?;
                Err(DoorError::PlainHttp)
            }
            _ => Ok((Box::new(stream), Side::Person)),
        }
    }

    async fn admit_tls(&self, stream: TcpStream) -> Result<(Box<dyn Stream>, Side), DoorError> {
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let side = side(&start.client_hello());
        let config = match (side, &self.operator, &self.people) {
            (Side::Operator, Some(config), _) => config.clone(),
            (Side::Person, _, Some(certificates)) => certificates.config().await,
            (Side::Operator, None, _) => return Err(DoorError::NoOperator),
            (Side::Person, _, None) => return Err(DoorError::NoCertificate),
        };
        Ok((Box::new(start.into_stream(config).await?), side))
    }
}

fn side(hello: &ClientHello<'_>) -> Side {
    match hello.server_cert_types() {
        Some(types) if types.contains(&RAW_PUBLIC_KEY) => Side::Operator,
        _ => Side::Person,
    }
}

fn operator_config(identity: &SiteKey, operator: PublicKey) -> Result<ServerConfig, ApiError> {
    let mut config = tls::server_config(identity, Arc::new(move |key| *key == operator))?;
    config.alpn_protocols = vec![OPERATOR_ALPN.to_vec()];
    Ok(config)
}
