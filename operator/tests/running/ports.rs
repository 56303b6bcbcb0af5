//! Health, readiness and metrics, as docs/operations.md tells.

use std::net::SocketAddr;

use axum::http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::api_server::{Part, Way};
use crate::scene::{APPS, Scene, until};

const OPERATIONS: &str = include_str!("../../../docs/operations.md");

async fn get(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await.ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await.ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

async fn answers(address: SocketAddr, path: &str, status: u16) -> String {
    let begun = std::time::Instant::now();
    loop {
        match get(address, path).await {
            Some((answered, body)) if answered == status => return body,
            other => assert!(begun.elapsed() < crate::scene::PATIENCE, "{path}: {other:?}"),
        }
        tokio::task::yield_now().await;
    }
}

/// The metrics that the page lists.
fn documented() -> Vec<&'static str> {
    let section = OPERATIONS.split("### Metrics of the operator").nth(1).unwrap().split("###").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split('`').next()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_is_alive_at_once_ready_when_it_sees_the_cluster_and_tells_every_documented_metric() {
    let scene = Scene::new().await;
    scene.uses("db", 1);
    scene.server.spoil(Part::Status, "remoteapps", APPS, "db", Some(StatusCode::INTERNAL_SERVER_ERROR));
    let first = scene.operator("one").await;
    scene.server.set_way(first.door, Way::Hangs);
    answers(first.health, "/livez", 200).await;
    let (status, body) = get(first.health, "/readyz").await.unwrap();
    assert_eq!((status, body.as_str()), (503, "not every kind was listed yet"));
    scene.server.set_way(first.door, Way::Open);
    answers(first.health, "/readyz", 200).await;
    until("a status was tried", || scene.server.writes(0).iter().any(|write| write.status.is_server_error())).await;
    let waiting = scene.operator("two").await;
    answers(waiting.health, "/readyz", 200).await;
    assert!(answers(waiting.health, "/metrics", 200).await.contains("wovenet_operator_leader 0"));
    let names = documented();
    assert!(names.len() > 10 && names.contains(&"writes_total"), "{names:?}");
    let mut missing = names;
    for _ in 0..200 {
        let told = answers(first.health, "/metrics", 200).await;
        missing.retain(|name| !told.contains(&format!("\nwovenet_operator_{name}")));
        if missing.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(missing.is_empty(), "not told: {missing:?}");
    assert!(answers(first.health, "/metrics", 200).await.contains("wovenet_operator_leader 1"));
    assert_eq!(get(first.health, "/other").await.unwrap().0, 404);
}
