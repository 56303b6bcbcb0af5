//! The long poll.

use std::time::{Duration, Instant};

use crate::api::testing::{DOCUMENT, FakeAgent, get, open, start};

#[tokio::test]
async fn without_conditions_the_status_comes_at_once_with_its_version() {
    let server = start(&open(), &FakeAgent::new(DOCUMENT)).await;
    let answer = get(server.address(), "/api/v1/status").await;
    assert_eq!((answer.status, &answer.json()["siteName"]), (200, &"home".into()));
    assert!(answer.header("ETag").starts_with('"') && answer.header("ETag").ends_with("-1\""), "{answer:?}");
}

#[tokio::test]
async fn a_poll_ends_soon_after_a_change() {
    let agent = FakeAgent::new(DOCUMENT);
    let server = start(&open(), &agent).await;
    let etag = get(server.address(), "/api/v1/status").await.header("ETag").replace('"', "");
    let path = format!("/api/v1/status?after={etag}&wait=30s");
    let poll = tokio::spawn(async move { (get(server.address(), &path).await, Instant::now()) });
    // The poll counts as a second subscriber; only then does the change come.
    while agent.changes.receiver_count() == 0 {
        tokio::task::yield_now().await;
    }
    let changed = Instant::now();
    agent.change();
    let (answer, answered) = poll.await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(answered - changed < Duration::from_secs(1));
    assert_ne!(answer.header("ETag").replace('"', ""), etag);
}

#[tokio::test]
async fn a_poll_without_a_change_ends_with_304_and_no_body() {
    let server = start(&open(), &FakeAgent::new(DOCUMENT)).await;
    let etag = get(server.address(), "/api/v1/status").await.header("ETag");
    for wait in ["", "&wait=20ms"] {
        let answer = get(server.address(), &format!("/api/v1/status?after={}{wait}", etag.replace('"', ""))).await;
        assert_eq!((answer.status, answer.body.as_str(), answer.header("ETag")), (304, "", etag.clone()));
    }
}

#[tokio::test]
async fn a_version_of_another_process_is_another_version() {
    let server = start(&open(), &FakeAgent::new(DOCUMENT)).await;
    let answer = get(server.address(), "/api/v1/status?after=0123456789abcdef-1&wait=30").await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_wait_that_is_no_duration_is_refused() {
    let server = start(&open(), &FakeAgent::new(DOCUMENT)).await;
    assert_eq!(get(server.address(), "/api/v1/status?wait=soon").await.status, 400);
}

#[tokio::test]
async fn a_poll_does_not_hold_up_the_shutdown() {
    let agent = FakeAgent::new(DOCUMENT);
    let server = start(&open(), &agent).await;
    let address = server.address();
    let etag = get(address, "/api/v1/status").await.header("ETag").replace('"', "");
    let poll = tokio::spawn(async move { get(address, &format!("/api/v1/status?after={etag}&wait=60s")).await });
    while agent.changes.receiver_count() == 0 {
        tokio::task::yield_now().await;
    }
    server.shutdown().await;
    assert_eq!(poll.await.unwrap().status, 304);
}
