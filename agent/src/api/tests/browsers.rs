//! Web pages of others.

use crate::api::testing::{DOCUMENT, FakeAgent, ask, closed, open, start};

#[tokio::test]
async fn without_credentials_only_names_of_this_host_are_answered() {
    let server = start(&open(), &FakeAgent::new(DOCUMENT)).await;
    for (line, host, status) in [
        ("GET /api/v1/status", "Host: localhost:9443", 200),
        ("GET /api/v1/status", "Host: [::1]:9443", 200),
        ("GET /api/v1/status", "Host: rebound.example.org", 403),
        ("GET /ping", "Host: rebound.example.org:9443", 403),
        ("GET http://rebound.example.org/api/v1/status", "Host: localhost", 403),
    ] {
        assert_eq!(ask(server.address(), line, &[host], "").await.status, status, "{line} {host}");
    }
}

#[tokio::test]
async fn with_credentials_any_name_is_answered() {
    let server = start(&closed(), &FakeAgent::new(DOCUMENT)).await;
    let headers = ["Host: node.example.org", "Authorization: Bearer s3cret-token-of-ann"];
    assert_eq!(ask(server.address(), "GET /api/v1/status", &headers, "").await.status, 200);
}

#[tokio::test]
async fn a_page_of_another_origin_cannot_change_anything() {
    let agent = FakeAgent::new(DOCUMENT);
    let (free, guarded) = (start(&open(), &agent).await, start(&closed(), &agent).await);
    for origin in ["Origin: https://evil.example.org", "Origin: null", "Origin: http://localhost:1"] {
        for address in [free.address(), guarded.address()] {
            let headers = ["Authorization: Bearer s3cret-token-of-ann", origin];
            let answer = ask(address, "DELETE /api/v1/localExposedApps/web", &headers, "").await;
            assert_eq!(answer.status, 403, "{origin}");
        }
    }
    assert!(agent.origins.lock().is_empty());
    let own = ask(free.address(), "DELETE /api/v1/localExposedApps/web", &["Origin: http://localhost"], "").await;
    assert_eq!(own.status, 200);
}
