//! Apps created, replaced and removed one at a time.

use serde_json::{Value, json};

use crate::api::agent::Agent;
use crate::api::testing::{DOCUMENT, FakeAgent, ask, open, start};

#[tokio::test]
async fn an_exposed_app_is_created_replaced_and_removed() {
    let agent = FakeAgent::new(DOCUMENT);
    let server = start(&open(), &agent).await;
    let ask = |line, body| ask(server.address(), line, &[], body);
    let db = r#"{"appName":"db","appSocket":"tcp:127.0.0.1:5432","allowedSites":["office"]}"#;
    assert_eq!(ask("POST /api/v1/localExposedApps", db).await.status, 201);
    assert_eq!(ask("POST /api/v1/localExposedApps", db).await.status, 409);
    let moved = "appSocket: tcp:127.0.0.1:5433\nallowedSites: [office]";
    assert_eq!(ask("PUT /api/v1/localExposedApps/db", moved).await.status, 200);
    let document = agent.document();
    let app = document.local_exposed_apps.last().unwrap();
    assert_eq!((app.app_name.as_deref(), app.app_socket.as_deref()), (Some("db"), Some("tcp:127.0.0.1:5433")));
    assert_eq!(ask("DELETE /api/v1/localExposedApps/db", "").await.status, 200);
    assert_eq!(ask("DELETE /api/v1/localExposedApps/db", "").await.status, 404);
    assert_eq!(ask("PUT /api/v1/localExposedApps/db", moved).await.status, 404);
    assert_eq!(agent.document().local_exposed_apps.len(), 2);
}

#[tokio::test]
async fn a_remote_app_is_created_replaced_and_removed() {
    let agent = FakeAgent::new(DOCUMENT);
    let server = start(&open(), &agent).await;
    let ask = |line, body| ask(server.address(), line, &[], body);
    let db = r#"{"siteName":"office","appName":"db","localSocket":"tcp:127.0.0.1:5432"}"#;
    assert_eq!(ask("POST /api/v1/remoteApps", db).await.status, 201);
    assert_eq!(ask("POST /api/v1/remoteApps", db).await.status, 409);
    let moved = r#"{"localSocket":"tcp:127.0.0.1:5433"}"#;
    assert_eq!(ask("PUT /api/v1/remoteApps/office/db", moved).await.status, 200);
    assert_eq!(agent.document().remote_apps[2].local_socket.as_deref(), Some("tcp:127.0.0.1:5433"));
    assert_eq!(ask("DELETE /api/v1/remoteApps/office/db", "").await.status, 200);
    assert_eq!(ask("DELETE /api/v1/remoteApps/office/db", "").await.status, 404);
    assert_eq!(ask("PUT /api/v1/remoteApps/attic/ssh", moved).await.status, 404);
}

#[tokio::test]
async fn remote_apps_that_use_one_app_are_told_apart_by_their_local_socket() {
    let agent = FakeAgent::new(DOCUMENT);
    let server = start(&open(), &agent).await;
    let ask = |line, body| ask(server.address(), line, &[], body);
    let second =
        r#"{"siteName":"office","appName":"desk","localSocket":"tcp:127.0.0.1:5902","appSocket":"tcp:10.1.1.2:5901"}"#;
    assert_eq!(ask("POST /api/v1/remoteApps", second).await.status, 201);
    assert_eq!(ask("DELETE /api/v1/remoteApps/office/desk", "").await.status, 409);
    let one = "DELETE /api/v1/remoteApps/office/desk?localSocket=tcp:127.0.0.1:5901";
    assert_eq!(ask(one, "").await.status, 200);
    assert_eq!(agent.document().remote_apps[1].local_socket.as_deref(), Some("tcp:127.0.0.1:5902"));
}

#[tokio::test]
async fn a_key_that_is_unknown_is_ignored_and_told() {
    let agent = FakeAgent::new(DOCUMENT);
    let server = start(&open(), &agent).await;
    let told = async |line, body| {
        let answer = ask(server.address(), line, &[], body).await;
        assert!((200..300).contains(&answer.status), "{line}: {answer:?}");
        answer.json()["warnings"].clone()
    };
    let unknown = |key: &str| json!([format!("the key {key:?} is unknown and ignored")]);
    let db = r#"{"appName":"db","appSocket":"tcp:127.0.0.1:5432","allowedSite":["office"]}"#;
    assert_eq!(told("POST /api/v1/localExposedApps", db).await, unknown("allowedSite"));
    let moved = "localSocket: tcp:127.0.0.1:5433\nidleTimout: 5s";
    assert_eq!(told("PUT /api/v1/remoteApps/office/ssh", moved).await, unknown("idleTimout"));
    let whole = |edit: &dyn Fn(&mut Value)| {
        let mut whole = serde_json::to_value(&*agent.document()).unwrap();
        edit(&mut whole);
        whole.to_string()
    };
    let misspelt = whole(&|whole| {
        whole["tunnel"]["channelPerSite"] = 3.into();
        whole["remoteApps"][1]["a\nb"] = 1.into();
    });
    let both = ["remoteApps[1].a\nb", "tunnel.channelPerSite"].map(|key| unknown(key)[0].clone());
    assert_eq!(told("PUT /api/v1/config", &misspelt).await, json!(both));
    let many = whole(&|whole| (0..100).for_each(|i| whole[format!("k{i}")] = i.into()));
    assert_eq!(told("PUT /api/v1/config", &many).await.as_array().map(Vec::len), Some(16));
}

#[tokio::test]
async fn an_app_that_is_wrong_or_renamed_is_refused() {
    let agent = FakeAgent::new(DOCUMENT);
    let server = start(&open(), &agent).await;
    for (line, body, path) in [
        ("POST /api/v1/localExposedApps", "{}", "appName"),
        ("POST /api/v1/localExposedApps", r#"{"appName":"x","appSocket":"no"}"#, "localExposedApps[2].appSocket"),
        ("PUT /api/v1/localExposedApps/web", r#"{"appName":"new"}"#, "appName"),
        ("POST /api/v1/remoteApps", r#"{"appName":"x"}"#, "siteName"),
        ("PUT /api/v1/remoteApps/office/ssh", r#"{"siteName":"attic"}"#, "siteName"),
    ] {
        let answer = ask(server.address(), line, &[], body).await;
        let paths: Vec<_> = answer.json()["problems"].as_array().unwrap().iter().map(|p| p["path"].clone()).collect();
        assert!(answer.status == 422 && paths.contains(&json!(path)), "{line} {body}: {answer:?}");
    }
    assert!(agent.origins.lock().is_empty());
}

#[tokio::test]
async fn of_concurrent_changes_none_is_lost() {
    let agent = FakeAgent::new(DOCUMENT);
    let server = start(&open(), &agent).await;
    let create = |index: u16| {
        let body = format!(r#"{{"appName":"app-{index}","appSocket":"tcp:127.0.0.1:{}"}}"#, 1000 + index);
        let address = server.address();
        async move { ask(address, "POST /api/v1/localExposedApps", &[], &body).await.status }
    };
    let codes = futures_util::future::join_all((0..40).map(create)).await;
    assert!(codes.iter().all(|code| *code == 201), "{codes:?}");
    assert_eq!(agent.document().local_exposed_apps.len(), 42);
}
