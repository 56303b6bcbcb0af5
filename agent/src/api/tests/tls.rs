//! HTTPS for people, with certificate files that change.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use wovenet_config::api::{Api, ApiTls};

use crate::api::ApiServer;
use crate::api::testing::{DOCUMENT, FakeAgent, ask_on, get, open, start};
use wovenet_identity::tls;

/// Writes a new certificate, whose file lengths or times differ from the one before.
fn write_certificate(directory: &Path, names: &[&str]) -> CertificateDer<'static> {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    std::fs::write(directory.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(directory.join("cert.pem"), made.cert.pem()).unwrap();
    made.cert.der().clone()
}

fn https(directory: &TempDir) -> Api {
    let file = |name: &str| directory.path().join(name);
    Api { tls: Some(ApiTls { key: file("key.pem"), certificate: file("cert.pem") }), ..open() }
}

async fn ping(address: SocketAddr, trusted: CertificateDer<'static>) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted).unwrap();
    let config = ClientConfig::builder_with_provider(tls::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, TcpStream::connect(address).await?).await?;
    Ok(ask_on(stream, "GET /ping", &[], "").await.body)
}

#[tokio::test]
async fn a_new_certificate_is_served_without_a_new_start() {
    let directory = tempfile::tempdir().unwrap();
    let first = write_certificate(directory.path(), &["localhost"]);
    let server = start(&https(&directory), &FakeAgent::new(DOCUMENT)).await;
    assert_eq!(ping(server.address(), first.clone()).await.unwrap(), "pong");
    let second = write_certificate(directory.path(), &["localhost", "second.example.org"]);
    assert_eq!(ping(server.address(), second.clone()).await.unwrap(), "pong");
    assert!(ping(server.address(), first).await.is_err());
    std::fs::write(directory.path().join("cert.pem"), "damaged").unwrap();
    assert_eq!(ping(server.address(), second).await.unwrap(), "pong");
}

#[tokio::test]
async fn plain_http_on_an_https_port_is_told_so() {
    let directory = tempfile::tempdir().unwrap();
    write_certificate(directory.path(), &["localhost"]);
    let server = start(&https(&directory), &FakeAgent::new(DOCUMENT)).await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, b"G").await.unwrap();
    let answer = crate::api::testing::read_answer(&mut stream).await;
    assert_eq!(answer.status, 400);
    assert!(get(server.address(), "/ping").await.body.contains("HTTPS"));
}

#[tokio::test]
async fn missing_and_mismatched_files_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let agent = Arc::new(FakeAgent::new(DOCUMENT));
    let error = ApiServer::start(&https(&directory), agent.clone(), None).await.unwrap_err();
    assert!(error.to_string().contains("cert.pem"), "{error}");
    write_certificate(directory.path(), &["localhost"]);
    std::fs::write(directory.path().join("key.pem"), "no key").unwrap();
    let error = ApiServer::start(&https(&directory), agent, None).await.unwrap_err();
    assert!(error.to_string().contains("key.pem"), "{error}");
}
