//! People's credentials.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::api::attempts::FAILURES_MAX;
use crate::api::testing::{DOCUMENT, FakeAgent, ask, closed, get, start};

fn basic(pair: &str) -> String {
    format!("Authorization: Basic {}", BASE64_STANDARD.encode(pair))
}

#[tokio::test]
async fn a_right_token_or_password_passes() {
    let server = start(&closed(), &FakeAgent::new(DOCUMENT)).await;
    for header in [
        "Authorization: Bearer s3cret-token-of-ann".to_owned(),
        "authorization: bearer s3cret-token-of-ann".to_owned(),
        basic("ann:s3cret-password"),
        basic("bob:other"),
    ] {
        let answer = ask(server.address(), "GET /api/v1/status", &[&header], "").await;
        assert_eq!(answer.status, 200, "{header}");
    }
}

#[tokio::test]
async fn wrong_and_missing_credentials_are_401_with_a_challenge_and_no_body() {
    let server = start(&closed(), &FakeAgent::new(DOCUMENT)).await;
    for header in [
        "X-None: none".to_owned(),
        "Authorization: Bearer".to_owned(),
        "Authorization: Bearer ".to_owned(),
        "Authorization: Bearer s3cret-token-of-an".to_owned(),
        "Authorization: Bearer ann:s3cret-password".to_owned(),
        "Authorization: Basic s3cret-token-of-ann".to_owned(),
        "Authorization: Digest ann".to_owned(),
        basic("ann:other"),
        basic("ann"),
        basic(":"),
    ] {
        let answer = ask(server.address(), "GET /api/v1/config", &[&header], "").await;
        assert_eq!((answer.status, answer.body.as_str()), (401, ""), "{header}");
        assert_eq!(answer.header("WWW-Authenticate"), r#"Basic realm="Authorization Required""#);
    }
}

#[tokio::test]
async fn open_paths_need_no_credentials() {
    let server = start(&closed(), &FakeAgent::new(DOCUMENT)).await;
    for path in ["/ping", "/swagger/index.html", "/api/v1/openapi.json"] {
        assert_eq!(get(server.address(), path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn login_only_checks_a_password() {
    let server = start(&closed(), &FakeAgent::new(DOCUMENT)).await;
    for (body, status, answered) in [
        (r#"{"username":"ann","password":"s3cret-password"}"#, 200, r#"{"message":"Login successful"}"#),
        (r#"{"username":"ann","password":"x"}"#, 401, r#"{"error":"Invalid credentials"}"#),
        (r#"{"username":"","password":""}"#, 401, r#"{"error":"Invalid credentials"}"#),
        ("{}", 400, r#"{"error":"Invalid request"}"#),
        ("no", 400, r#"{"error":"Invalid request"}"#),
    ] {
        let answer = ask(server.address(), "POST /login", &[], body).await;
        assert_eq!((answer.status, answer.body.as_str()), (status, answered), "{body}");
    }
}

#[tokio::test]
async fn an_address_that_shows_wrong_credentials_again_and_again_is_not_listened_to_for_a_while() {
    let server = start(&closed(), &FakeAgent::new(DOCUMENT)).await;
    let (wrong, right) = (basic("ann:guess"), basic("ann:s3cret-password"));
    for _ in 0..FAILURES_MAX {
        assert_eq!(ask(server.address(), "GET /api/v1/config", &[&wrong], "").await.status, 401);
    }
    let answer = ask(server.address(), "GET /api/v1/config", &[&right], "").await;
    assert_eq!((answer.status, answer.header("Retry-After").as_str()), (429, "3"));
    assert!(answer.body.contains("try again in 3 s"), "{}", answer.body);
    let login = r#"{"username":"ann","password":"s3cret-password"}"#;
    assert_eq!(ask(server.address(), "POST /login", &[], login).await.status, 429);
    assert_eq!(get(server.address(), "/ping").await.status, 200);
}
