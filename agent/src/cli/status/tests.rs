//! The client against a real server.

use std::time::Duration;

use super::client::{Client, ClientError, Reply};
use super::endpoint::{Endpoint, Trust};
use crate::api::ApiServer;
use crate::api::testing::{DOCUMENT, FakeAgent, closed, open, start};

fn client(server: &ApiServer, authorization: Option<&str>, trust: Trust) -> Client {
    let (host, port) = (server.address().ip().to_string(), server.address().port());
    let authorization = authorization.map(|text| text.to_owned().into());
    Client::new(Endpoint { host, port, trust, authorization }).unwrap()
}

#[tokio::test]
async fn a_status_is_fetched_and_then_waited_for() {
    let server = start(&open(), &FakeAgent::new(DOCUMENT)).await;
    let client = client(&server, None, Trust::Plain);
    let Ok(Reply::Status { text, etag }) = client.status(None, Duration::ZERO).await else { panic!("no status") };
    assert!(text.starts_with('{') && !etag.contains('"'), "{text} {etag}");
    assert!(matches!(client.status(Some(&etag), Duration::from_millis(1)).await, Ok(Reply::Unchanged)));
    assert!(matches!(client.status(Some("other"), Duration::ZERO).await, Ok(Reply::Status { .. })));
}

#[tokio::test]
async fn wrong_credentials_are_told_with_what_to_do() {
    let server = start(&closed(), &FakeAgent::new(DOCUMENT)).await;
    let right = client(&server, Some("Bearer s3cret-token-of-ann"), Trust::Plain);
    assert!(right.status(None, Duration::ZERO).await.is_ok());
    let error = client(&server, Some("Bearer s3cret"), Trust::Plain).status(None, Duration::ZERO).await.unwrap_err();
    assert!(error.to_string().contains("--token-file") && !error.to_string().contains("s3cret"), "{error}");
}

#[tokio::test]
async fn an_agent_that_does_not_run_is_asked_about() {
    let server = start(&open(), &FakeAgent::new(DOCUMENT)).await;
    let client = client(&server, None, Trust::Plain);
    server.shutdown().await;
    let error = client.status(None, Duration::ZERO).await.unwrap_err();
    assert!(error.to_string().contains("is the agent running"), "{error}");
}

#[tokio::test]
async fn over_tls_only_the_agents_own_certificate_is_accepted() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    for name in ["own", "other"] {
        let made = rcgen::generate_simple_self_signed(vec!["agent.example.org".to_owned()]).unwrap();
        std::fs::write(file(&format!("{name}.key")), made.signing_key.serialize_pem()).unwrap();
        std::fs::write(file(&format!("{name}.pem")), made.cert.pem()).unwrap();
    }
    let tls = wovenet_config::api::ApiTls { key: file("own.key"), certificate: file("own.pem") };
    let server = start(&wovenet_config::api::Api { tls: Some(tls), ..open() }, &FakeAgent::new(DOCUMENT)).await;
    let own = client(&server, None, Trust::Certificate(file("own.pem")));
    assert!(own.status(None, Duration::ZERO).await.is_ok());
    let other = client(&server, None, Trust::Certificate(file("other.pem"))).status(None, Duration::ZERO).await;
    assert!(matches!(other, Err(ClientError::Tls(..))), "{other:?}");
    let plain = client(&server, None, Trust::Plain).status(None, Duration::ZERO).await;
    assert!(matches!(plain, Err(ClientError::Refused(..))), "{plain:?}");
}
