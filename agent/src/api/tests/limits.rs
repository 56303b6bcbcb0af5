//! What one client may cost.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::api::ApiServer;
use crate::api::limits::{BODY_MAX_BYTES, Limits};
use crate::api::testing::{
    DOCUMENT, ELSEWHERE, FakeAgent, HERE, ask, ask_on, assert_closed_unserved, client, get, open, read_answer, start,
    start_within,
};

const SHORT: Duration = Duration::from_millis(100);

async fn impatient() -> ApiServer {
    let limits = Limits { connections: 8, handshake: SHORT, header: SHORT, ..Limits::API };
    start_within(&open(), &FakeAgent::new(DOCUMENT), None, limits).await
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_announced_or_not() {
    let server = start(&open(), &FakeAgent::new(DOCUMENT)).await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let request = "PUT /api/v1/config HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
    let announced = format!("{request}Content-Length: {}\r\n\r\n", BODY_MAX_BYTES + 1);
    stream.write_all(announced.as_bytes()).await.unwrap();
    assert_eq!(read_answer(&mut stream).await.status, 413);

    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let size = BODY_MAX_BYTES + 1;
    let chunk = format!("{request}Transfer-Encoding: chunked\r\n\r\n{size:x}\r\n{}", "x".repeat(size));
    stream.write_all(chunk.as_bytes()).await.unwrap();
    assert_eq!(read_answer(&mut stream).await.status, 413);
}

#[tokio::test]
async fn a_body_of_the_largest_size_is_read() {
    let server = start(&open(), &FakeAgent::new(DOCUMENT)).await;
    let body = format!("{DOCUMENT}#{}", "x".repeat(BODY_MAX_BYTES - DOCUMENT.len() - 1));
    assert_eq!(ask(server.address(), "PUT /api/v1/config", &[], &body).await.status, 200);
}

#[tokio::test]
async fn a_client_that_is_slow_with_its_headers_is_cut() {
    let server = impatient().await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(b"GET /ping HTTP/1.1\r\nHost: local").await.unwrap();
    let answer = read_answer(&mut stream).await;
    assert!(matches!(answer.status, 0 | 408), "{answer:?}");
}

#[tokio::test]
async fn three_hundred_idle_connections_do_not_block_a_further_one_forever() {
    let limits = Limits { per_address: usize::MAX, handshake: SHORT, header: SHORT, ..Limits::API };
    let server = start_within(&open(), &FakeAgent::new(DOCUMENT), None, limits).await;
    let mut idle = Vec::new();
    for _ in 0..300 {
        idle.push(TcpStream::connect(server.address()).await.unwrap());
    }
    assert_eq!(get(server.address(), "/ping").await.body, "pong");
}

#[tokio::test]
async fn connections_that_idle_after_a_request_are_cut_too() {
    let server = impatient().await;
    let mut idle = Vec::new();
    for _ in 0..16 {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        idle.push(stream);
    }
    assert_eq!(get(server.address(), "/ping").await.body, "pong");
}

#[tokio::test]
async fn an_address_with_all_its_connections_is_closed_while_another_is_served() {
    let limits = Limits { per_address: 2, ..Limits::API };
    let server = start_within(&open(), &FakeAgent::new(DOCUMENT), None, limits).await;
    let _held = [client(server.address(), HERE).await, client(server.address(), HERE).await];
    assert_closed_unserved(client(server.address(), HERE).await).await;
    let there = client(server.address(), ELSEWHERE).await;
    assert_eq!(ask_on(there, "GET /ping", &[], "").await.body, "pong");
}

#[tokio::test]
async fn an_address_that_is_taken_is_an_error_that_can_be_tried_again() {
    let first = start(&open(), &FakeAgent::new(DOCUMENT)).await;
    let mut config = open();
    config.listen = first.address();
    let agent = std::sync::Arc::new(FakeAgent::new(DOCUMENT));
    let error = ApiServer::start(&config, agent.clone(), None).await.unwrap_err();
    assert!(error.to_string().contains(&first.address().to_string()), "{error}");
    first.shutdown().await;
    ApiServer::start(&config, agent, None).await.unwrap();
}

#[tokio::test]
async fn each_request_is_one_line_of_the_access_log_without_its_query() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("made/access.log");
    let mut config = open();
    config.log_file = Some(path.clone());
    let server = start(&config, &FakeAgent::new(DOCUMENT)).await;
    get(server.address(), "/api/v1/status?after=s3cret").await;
    get(server.address(), "/nothing").await;
    server.shutdown().await;
    let log = std::fs::read_to_string(path).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    assert!(lines[0].contains(" GET /api/v1/status 200 ") && lines[1].contains(" GET /nothing 404 "), "{log}");
    assert!(lines.len() == 2 && !log.contains("s3cret"), "{log}");
}
