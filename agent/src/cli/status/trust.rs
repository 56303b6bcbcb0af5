//! How the client knows that it talks to the right API.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::endpoint::Trust;
use wovenet_identity::tls;

/// Builds the TLS settings; `None` is plain HTTP.
pub(super) fn client_config(trust: &Trust) -> anyhow::Result<Option<ClientConfig>> {
    let builder = ClientConfig::builder_with_provider(tls::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .context("cannot prepare TLS")?;
    let config = match trust {
        Trust::Plain => return Ok(None),
        Trust::System => builder.with_root_certificates(system()),
        Trust::Authorities(file) => builder.with_root_certificates(authorities(file)?),
        Trust::Certificate(file) => {
            let algorithms = tls::provider().signature_verification_algorithms;
            let verifier = OneCertificate { certificate: first(file)?, algorithms };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
    };
    Ok(Some(config.with_no_client_auth()))
}

fn system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    // What cannot be read is missing, and the handshake says so.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

fn authorities(file: &Path) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in read(file)? {
        roots.add(certificate).with_context(|| format!("{} holds no certificate authority", file.display()))?;
    }
    Ok(roots)
}

fn first(file: &Path) -> anyhow::Result<CertificateDer<'static>> {
    let first = read(file)?.into_iter().next();
    first.with_context(|| format!("{} holds no certificate", file.display()))
}

fn read(file: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let failed = || format!("cannot read certificates from {}", file.display());
    let bytes = std::fs::read(file).with_context(failed)?;
    CertificateDer::pem_slice_iter(&bytes).collect::<Result<_, _>>().with_context(failed)
}

/// Accepts one certificate, by its bytes: whoever reads the agent's files needs no authority to know it.
#[derive(Debug)]
struct OneCertificate {
    certificate: CertificateDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for OneCertificate {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match *end_entity == self.certificate {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
