//! The whole configuration, as a person reads and replaces it.

use serde_json::json;

use crate::api::agent::{Agent, Origin};
use crate::api::testing::{DOCUMENT, FakeAgent, ask, get, open, start};

#[tokio::test]
async fn no_secret_is_read() {
    let server = start(&open(), &FakeAgent::new(DOCUMENT)).await;
    let answer = get(server.address(), "/api/v1/config").await;
    assert!(answer.status == 200 && !answer.body.contains("s3cret"), "{answer:?}");
    assert_eq!(answer.json()["crypto"]["key"], "<redacted>");
}

#[tokio::test]
async fn a_configuration_that_is_read_and_sent_back_keeps_its_secrets() {
    let agent = FakeAgent::new(DOCUMENT);
    let before = agent.document();
    let server = start(&open(), &agent).await;
    let read = get(server.address(), "/api/v1/config").await;
    let answer = ask(server.address(), "PUT /api/v1/config", &[], &read.body).await;
    assert_eq!((answer.status, answer.json()), (200, json!({ "revision": 0, "listeners": [], "warnings": [] })));
    assert_eq!(agent.document(), before);
    assert_eq!(*agent.origins.lock(), [Origin::Person]);
}

#[tokio::test]
async fn yaml_is_read_too() {
    let agent = FakeAgent::new(DOCUMENT);
    let server = start(&open(), &agent).await;
    let body = DOCUMENT.replace("siteName: home", "siteName: cellar");
    assert_eq!(ask(server.address(), "PUT /api/v1/config", &[], &body).await.status, 200);
    assert_eq!(agent.document().site_name.as_deref(), Some("cellar"));
}

#[tokio::test]
async fn an_invalid_configuration_is_refused_with_every_problem() {
    let agent = FakeAgent::new(DOCUMENT);
    let server = start(&open(), &agent).await;
    let body = r#"{"crypto":{"key":"a-passphrase-that-is-long"},"remoteApps":[{"siteName":"x"}]}"#;
    let answer = ask(server.address(), "PUT /api/v1/config", &[], body).await;
    let refusal = answer.json();
    assert_eq!((answer.status, &refusal["code"]), (422, &json!(422)));
    let problems = refusal["problems"].as_array().unwrap();
    let paths: Vec<&str> = problems.iter().filter_map(|problem| problem["path"].as_str()).collect();
    assert!(paths.contains(&"siteName") && paths.contains(&"remoteApps[0].localSocket"), "{refusal}");
    assert!(problems.iter().all(|problem| problem["severity"].is_string() && problem["message"].is_string()));
    assert!(agent.origins.lock().is_empty());
}

#[tokio::test]
async fn a_body_that_cannot_be_read_or_restored_is_a_problem_too() {
    let server = start(&open(), &FakeAgent::new("siteName: home")).await;
    for (body, path) in [("{", ""), ("- a", ""), (r#"{"crypto":{"key":"<redacted>"}}"#, "crypto.key")] {
        let answer = ask(server.address(), "PUT /api/v1/config", &[], body).await;
        assert_eq!((answer.status, &answer.json()["problems"][0]["path"]), (422, &json!(path)), "{body}");
    }
}

#[tokio::test]
async fn a_person_can_neither_set_a_revision_nor_change_what_the_operator_owns() {
    let (own, owned) = (FakeAgent::new(DOCUMENT), FakeAgent::new(&format!("revision: 4\n{DOCUMENT}")));
    let server = start(&open(), &own).await;
    let body = format!("revision: 5\n{DOCUMENT}");
    assert_eq!(ask(server.address(), "PUT /api/v1/config", &[], &body).await.status, 403);
    let server = start(&open(), &owned).await;
    for (line, body) in [("PUT /api/v1/config", DOCUMENT), ("DELETE /api/v1/localExposedApps/web", "")] {
        assert_eq!(ask(server.address(), line, &[], body).await.status, 403, "{line}");
    }
    assert!(own.origins.lock().is_empty() && owned.origins.lock().is_empty());
}
