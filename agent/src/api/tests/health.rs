//! Probes and metrics.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use prometheus::{IntCounter, Registry};
use tokio::io::AsyncWriteExt;

use crate::api::HealthServer;
use crate::api::limits::Limits;
use crate::api::testing::{
    DOCUMENT, ELSEWHERE, FakeAgent, HERE, ask, ask_on, assert_closed_unserved, client, get, read_answer,
};

fn start(agent: &FakeAgent, registry: Registry) -> HealthServer {
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    HealthServer::start(any, Arc::new(agent.clone()), registry).unwrap()
}

#[tokio::test]
async fn liveness_is_the_process_and_readiness_is_the_agents() {
    let agent = FakeAgent::new(DOCUMENT);
    let server = start(&agent, Registry::new());
    assert_eq!(get(server.address(), "/readyz").await.status, 200);
    agent.ready.store(false, Ordering::Relaxed);
    let answer = get(server.address(), "/readyz").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.body, "not ready: 0 tunnel sockets and 1 listeners are not bound\n");
    let answer = get(server.address(), "/livez").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "ok"));
    server.shutdown().await;
}

#[tokio::test]
async fn metrics_are_in_the_text_format() {
    let registry = Registry::new();
    let counter = IntCounter::new("wovenet_test_total", "Moves in this test.").unwrap();
    registry.register(Box::new(counter.clone())).unwrap();
    counter.inc_by(3);
    let server = start(&FakeAgent::new(DOCUMENT), registry);
    let answer = get(server.address(), "/metrics").await;
    assert!(answer.header("Content-Type").starts_with("text/plain"), "{answer:?}");
    let samples: Vec<&str> = answer.body.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(samples, ["wovenet_test_total 3"]);
}

#[tokio::test]
async fn nothing_else_is_served_there() {
    let server = start(&FakeAgent::new(DOCUMENT), Registry::new());
    for line in ["GET /", "GET /ping", "GET /api/v1/config", "POST /livez"] {
        assert_eq!(ask(server.address(), line, &[], "").await.status, 404, "{line}");
    }
}

#[tokio::test]
async fn one_address_cannot_keep_the_probes_of_another_out() {
    let server = start(&FakeAgent::new(DOCUMENT), Registry::new());
    let mut held = Vec::new();
    for _ in 0..Limits::HEALTH.per_address {
        held.push(client(server.address(), HERE).await);
    }
    assert_closed_unserved(client(server.address(), HERE).await).await;
    let probe = client(server.address(), ELSEWHERE).await;
    assert_eq!(ask_on(probe, "GET /livez", &[], "").await.status, 200);
}

#[tokio::test]
async fn a_connection_serves_one_request_whatever_the_client_asks_for() {
    let server = start(&FakeAgent::new(DOCUMENT), Registry::new());
    let mut stream = client(server.address(), HERE).await;
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n").await.unwrap();
    let answer = read_answer(&mut stream).await;
    assert_eq!((answer.body.as_str(), answer.header("Connection").as_str()), ("ok", "close"));
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let first = start(&FakeAgent::new(DOCUMENT), Registry::new());
    let agent = Arc::new(FakeAgent::new(DOCUMENT));
    let error = HealthServer::start(first.address(), agent, Registry::new()).unwrap_err();
    assert!(error.to_string().starts_with(&format!("cannot listen on {}: ", first.address())), "{error}");
}
