//! What programs written for wovenet meet: the same paths, shapes and errors.

use crate::api::testing::{Answer, DOCUMENT, FakeAgent, ask, get, open, start};

async fn answer(path: &str) -> Answer {
    let server = start(&open(), &FakeAgent::new(DOCUMENT)).await;
    let answer = get(server.address(), path).await;
    server.shutdown().await;
    answer
}

#[tokio::test]
async fn ping_is_answered_with_pong() {
    assert_eq!(answer("/ping").await.body, "pong");
}

#[tokio::test]
async fn remote_sites_have_the_same_shape() {
    let office = r#"{"siteName":"office","tunnelSockets":[{"address":"203.0.113.7","port":51820,"protocol":"quic","id":"bbbbbbbbbbbbbbbbbbbbbbbb","dynamicPublicAddress":true}],"exposedApps":[{"name":"ssh"}]}"#;
    let attic = r#"{"siteName":"attic","tunnelSockets":[],"exposedApps":[]}"#;
    assert_eq!(answer("/api/v1/remoteSites").await.body, format!("[{office},{attic}]"));
    assert_eq!(answer("/api/v1/remoteSites/office").await.body, office);
}

#[tokio::test]
async fn local_exposed_apps_have_the_same_shape_in_the_order_of_the_file() {
    let web =
        r#"{"mode":"single","appName":"web","appSocket":"tcp:127.0.0.1:80","portRange":null,"addressRange":null}"#;
    let vnc =
        r#"{"mode":"range","appName":"vnc","appSocket":"","portRange":["5900-5990"],"addressRange":["10.0.2.0/24"]}"#;
    assert_eq!(answer("/api/v1/localExposedApps").await.body, format!("[{web},{vnc}]"));
    assert_eq!(answer("/api/v1/localExposedApps/vnc").await.body, vnc);
}

#[tokio::test]
async fn remote_apps_have_the_same_shape_in_the_order_of_the_file() {
    let ssh = r#"{"siteName":"office","appName":"ssh","localSocket":"tcp:127.0.0.1:2222","appSocket":""}"#;
    let desk =
        r#"{"siteName":"office","appName":"desk","localSocket":"tcp:127.0.0.1:5901","appSocket":"tcp:10.1.1.1:5901"}"#;
    assert_eq!(answer("/api/v1/remoteApps").await.body, format!("[{ssh},{desk}]"));
    assert_eq!(answer("/api/v1/remoteApps/desk").await.body, desk);
}

#[tokio::test]
async fn an_empty_list_is_a_list() {
    let server = start(&open(), &FakeAgent::new("siteName: home")).await;
    for path in ["/api/v1/localExposedApps", "/api/v1/remoteApps"] {
        assert_eq!(get(server.address(), path).await.body, "[]");
    }
}

#[tokio::test]
async fn an_unknown_name_is_404_and_says_what_was_not_found() {
    for (path, what) in [
        ("remoteApps/x", "remote app: x not found"),
        ("localExposedApps/x", "local exposed app: x not found"),
        ("remoteSites/x%20y", "remote site: x y not found"),
    ] {
        let answer = answer(&format!("/api/v1/{path}")).await;
        assert_eq!((answer.status, answer.body), (404, format!(r#"{{"code":404,"message":"{what}"}}"#)));
    }
}

#[tokio::test]
async fn an_unknown_path_or_method_is_404_as_text() {
    let server = start(&open(), &FakeAgent::new(DOCUMENT)).await;
    for line in ["GET /", "GET /api/v1", "GET /api/v1/nothing", "PUT /api/v1/remoteSites", "DELETE /ping"] {
        let answer = ask(server.address(), line, &[], "").await;
        assert_eq!((answer.status, answer.body.as_str()), (404, "404 page not found"), "{line}");
    }
}

#[tokio::test]
async fn the_old_page_leads_to_the_api_document() {
    let page = answer("/swagger/index.html").await;
    assert!(page.body.contains(r#"href="/api/v1/openapi.json""#) && !page.body.contains("http"), "{page:?}");
    assert_eq!(answer("/api/v1/openapi.json").await.body, crate::api::openapi_json());
}
