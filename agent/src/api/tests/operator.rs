//! The operator's connection: mutual TLS with raw public keys, on the port of people.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::sign::CertifiedKey;
use serde_json::json;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use wovenet_config::api::Api;

use crate::api::agent::{Agent, Origin};
use crate::api::limits::Limits;
use crate::api::testing::{Answer, DOCUMENT, FakeAgent, KNOWN_PEERS, ask, ask_on, closed, start_within};
use crate::api::{ApiError, ApiServer, OPERATOR_ALPN};
use crate::peer::site_key::{self, SiteKey};
use wovenet_identity::tls;

struct Scene {
    site: SiteKey,
    operator: SiteKey,
    agent: FakeAgent,
    server: ApiServer,
}

async fn scene() -> Scene {
    let (site, operator) = (SiteKey::generate().unwrap(), SiteKey::generate().unwrap());
    let agent = FakeAgent::new(&format!("revision: 4\n{DOCUMENT}"));
    let config = Api { operator_key: Some(operator.public()), ..closed() };
    let server = start_within(&config, &agent, Some(&site), Limits::API).await;
    Scene { site, operator, agent, server }
}

fn client(key: &SiteKey, site: &SiteKey) -> ClientConfig {
    let mut config = tls::client_config(key, site.public()).unwrap();
    config.alpn_protocols = vec![OPERATOR_ALPN.to_vec()];
    config
}

async fn connect(address: SocketAddr, config: ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("agent").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// In TLS 1.3 a client learns of its refusal only when it reads.
async fn is_refused(address: SocketAddr, config: ClientConfig) -> bool {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let Ok(mut stream) = connect(address, config).await else { return true };
    stream.write_all(b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n").await.ok();
    stream.read_u8().await.is_err()
}

impl Scene {
    async fn push(&self, revision: &str) -> Answer {
        let stream = connect(self.server.address(), client(&self.operator, &self.site)).await.unwrap();
        ask_on(stream, "PUT /api/v1/config", &[], &format!("{revision}\n{DOCUMENT}")).await
    }
}

#[tokio::test]
async fn the_pinned_key_may_push_a_revision() {
    let scene = scene().await;
    let answer = scene.push("revision: 5").await;
    assert_eq!((answer.status, &answer.json()["revision"]), (200, &json!(5)));
    assert_eq!(*scene.agent.origins.lock(), [Origin::Operator]);
    assert_eq!(scene.agent.document().revision, Some(5));
}

#[tokio::test]
async fn a_push_of_an_older_revision_is_a_conflict_and_one_without_is_invalid() {
    let scene = scene().await;
    assert_eq!(scene.push("revision: 3").await.status, 409);
    let answer = scene.push("").await;
    assert_eq!((answer.status, &answer.json()["problems"][0]["path"]), (422, &json!("revision")));
}

#[tokio::test]
async fn another_key_is_refused() {
    let scene = scene().await;
    let stranger = SiteKey::generate().unwrap();
    assert!(is_refused(scene.server.address(), client(&stranger, &scene.site)).await);
    assert!(is_refused(scene.server.address(), client(&scene.site, &scene.site)).await);
}

#[tokio::test]
async fn the_pinned_key_presented_by_someone_who_does_not_hold_it_is_refused() {
    let scene = scene().await;
    let thief = SiteKey::generate().unwrap();
    let signer = tls::provider().key_provider.load_private_key(thief.to_tls()).unwrap();
    let spki = CertificateDer::from(site_key::spki(&scene.operator.public()));
    let stolen = Arc::new(CertifiedKey::new(vec![spki], signer));
    let mut config = client(&thief, &scene.site);
    config.client_auth_cert_resolver = Arc::new(rustls::client::AlwaysResolvesClientRawPublicKeys::new(stolen));
    assert!(is_refused(scene.server.address(), config).await);
}

#[tokio::test]
async fn the_operator_refuses_an_agent_of_another_site() {
    let scene = scene().await;
    let other = SiteKey::generate().unwrap();
    assert!(connect(scene.server.address(), client(&scene.operator, &other)).await.is_err());
}

#[tokio::test]
async fn a_connection_for_data_is_refused() {
    let scene = scene().await;
    let config = tls::client_config(&scene.operator, scene.site.public()).unwrap();
    assert!(is_refused(scene.server.address(), config).await);
}

#[tokio::test]
async fn a_persons_token_reads_on_the_same_port_but_pushes_no_revision() {
    let scene = scene().await;
    let token = ["Authorization: Bearer s3cret-token-of-ann"];
    let address = scene.server.address();
    assert_eq!(ask(address, "GET /api/v1/status", &token, "").await.status, 200);
    let body = format!("revision: 9\n{DOCUMENT}");
    assert_eq!(ask(address, "PUT /api/v1/config", &token, &body).await.status, 403);
    assert!(scene.agent.origins.lock().is_empty());
}

#[tokio::test]
async fn what_is_known_of_peers_is_for_the_operator_only() {
    let scene = scene().await;
    let stream = connect(scene.server.address(), client(&scene.operator, &scene.site)).await.unwrap();
    let answer = ask_on(stream, "GET /api/v1/peers", &[], "").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, KNOWN_PEERS));
    let token = ["Authorization: Bearer s3cret-token-of-ann"];
    assert_eq!(ask(scene.server.address(), "GET /api/v1/peers", &token, "").await.status, 403);
    assert_eq!(ask(scene.server.address(), "GET /api/v1/peers", &[], "").await.status, 401);
}

#[tokio::test]
async fn with_an_operator_but_no_credentials_people_have_no_access() {
    let (site, operator) = (SiteKey::generate().unwrap(), SiteKey::generate().unwrap());
    let config = Api { operator_key: Some(operator.public()), ..crate::api::testing::open() };
    let server = start_within(&config, &FakeAgent::new(DOCUMENT), Some(&site), Limits::API).await;
    assert_eq!(ask(server.address(), "GET /api/v1/status", &[], "").await.status, 401);
}

#[tokio::test]
async fn an_operator_key_without_a_key_of_the_site_is_an_error() {
    let config = Api { operator_key: Some(SiteKey::generate().unwrap().public()), ..closed() };
    let started = ApiServer::start(&config, Arc::new(FakeAgent::new(DOCUMENT)), None).await;
    assert!(matches!(started, Err(ApiError::NoIdentity)));
}
