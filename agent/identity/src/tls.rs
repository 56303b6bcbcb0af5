//! TLS version 1.3, raw Ed25519 public keys both ways (RFC 7250), nothing resumed (docs/protocol.md §4).

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};
use wovenet_config::key::PublicKey;

use crate::CHANNEL_ALPN;
use crate::site_key::{self, SiteKey};

/// Why the TLS side of a channel could not be prepared.
#[derive(Debug, thiserror::Error)]
#[error("cannot prepare TLS: {0}")]
pub struct TlsError(#[from] rustls::Error);

/// What a dialler's handshake fails with when the listener shows the dialler's own key. The libraries pass it on as text.
pub const OWN_KEY: &str = "the peer is this site itself";

/// Returns the provider of every TLS connection: AES-128-GCM first, hybrid key exchange preferred.
pub fn provider() -> Arc<CryptoProvider> {
    use aws_lc_rs::{cipher_suite, kx_group};
    Arc::new(CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ],
        kx_groups: vec![kx_group::X25519MLKEM768, kx_group::X25519],
        ..aws_lc_rs::default_provider()
    })
}

/// Builds the TLS configuration of a dialler that only talks to the owner of `pinned`.
///
/// # Errors
/// [`TlsError`] when the library refuses the key.
pub fn client_config(key: &SiteKey, pinned: PublicKey) -> Result<ClientConfig, TlsError> {
    let provider = provider();
    let verifier = PinnedServer { pinned, own: key.public(), algorithms: provider.signature_verification_algorithms };
    let resolver = rustls::client::AlwaysResolvesClientRawPublicKeys::new(certified_key(key, &provider)?);
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![CHANNEL_ALPN.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    config.enable_early_data = false;
    config.enable_sni = false;
    Ok(config)
}

/// Which dialler keys a listener lets through the handshake.
pub type AdmitKey = Arc<dyn Fn(&PublicKey) -> bool + Send + Sync>;

/// Builds the TLS configuration of a listener. A key that `admit` lets through is still unauthenticated until the
/// control stream has judged it.
///
/// # Errors
/// [`TlsError`] when the library refuses the key.
pub fn server_config(key: &SiteKey, admit: AdmitKey) -> Result<ServerConfig, TlsError> {
    let provider = provider();
    let verifier = AdmittedClient { admit, algorithms: provider.signature_verification_algorithms };
    let resolver = rustls::server::AlwaysResolvesServerRawPublicKeys::new(certified_key(key, &provider)?);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![CHANNEL_ALPN.to_vec()];
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}

fn certified_key(key: &SiteKey, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, TlsError> {
    let signer = provider.key_provider.load_private_key(key.to_tls())?;
    let spki = CertificateDer::from(site_key::spki(&key.public()));
    Ok(Arc::new(CertifiedKey::new(vec![spki], signer)))
}

fn read_key(end_entity: &CertificateDer<'_>) -> Result<PublicKey, rustls::Error> {
    site_key::from_spki(end_entity).ok_or(CertificateError::BadEncoding.into())
}

fn verify_signature(
    message: &[u8],
    spki: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, rustls::Error> {
    let spki = SubjectPublicKeyInfoDer::from(spki.as_ref());
    rustls::crypto::verify_tls13_signature_with_raw_key(message, &spki, signed, algorithms)
}

fn no_tls12() -> Result<HandshakeSignatureValid, rustls::Error> {
    Err(rustls::Error::PeerIncompatible(rustls::PeerIncompatible::Tls12NotOffered))
}

struct PinnedServer {
    pinned: PublicKey,
    own: PublicKey,
    algorithms: WebPkiSupportedAlgorithms,
}

impl fmt::Debug for PinnedServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PinnedServer({})", self.pinned)
    }
}

impl ServerCertVerifier for PinnedServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match read_key(end_entity)? {
            key if key == self.pinned => Ok(ServerCertVerified::assertion()),
            key if key == self.own => Err(rustls::Error::General(OWN_KEY.to_owned())),
            _ => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_signature(message, cert, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

struct AdmittedClient {
    admit: AdmitKey,
    algorithms: WebPkiSupportedAlgorithms,
}

impl fmt::Debug for AdmittedClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdmittedClient")
    }
}

impl ClientCertVerifier for AdmittedClient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        if (self.admit)(&read_key(end_entity)?) {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_signature(message, cert, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
