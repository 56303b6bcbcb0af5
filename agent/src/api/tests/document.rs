//! The API document.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use wovenet_config::document;

use crate::api::openapi_json;
use crate::api::testing::{DOCUMENT, FakeAgent, ask, open, start};

/// Set to make the checked-in file anew instead of comparing.
const UPDATE: &str = "WOVENET_UPDATE";

#[test]
fn the_checked_in_api_document_is_the_served_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, openapi_json()).unwrap();
    }
    let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
    let command = format!("{UPDATE}=1 cargo test -p wovenet-agent --lib api_document");
    assert!(checked_in == openapi_json(), "docs/openapi.json is out of date; run: {command}");
}

#[tokio::test]
async fn every_documented_path_is_served() {
    let server = start(&open(), &FakeAgent::new(DOCUMENT)).await;
    let document: Value = serde_json::from_str(&openapi_json()).unwrap();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let line = format!("{} {}", method.to_uppercase(), path.replace(['{', '}'], ""));
            assert_ne!(ask(server.address(), &line, &[], "").await.body, "404 page not found", "{line}");
        }
    }
}

#[test]
fn every_operation_has_a_name_of_its_own() {
    let document: Value = serde_json::from_str(&openapi_json()).unwrap();
    let paths = document["paths"].as_object().unwrap().values();
    let operations: Vec<&Value> = paths.flat_map(|methods| methods.as_object().unwrap().values()).collect();
    let names: BTreeSet<&str> = operations.iter().filter_map(|operation| operation["operationId"].as_str()).collect();
    assert_eq!(names.len(), operations.len());
}

#[test]
fn documented_apps_have_the_keys_of_the_configuration() {
    let exposed: document::ExposedApp = serde_yaml::from_str(
        "{ appName: a, mode: m, appSocket: s, ports: [{ name: n, appSocket: s }], portRange: ['1'], addressRange: [a], \
         allowedSites: [], maxConnections: 1, idleTimeout: 1s, connectTimeout: 1s, proxyProtocol: true }",
    )
    .unwrap();
    let remote: document::RemoteApp = serde_yaml::from_str(
        "{ siteName: s, appName: a, providers: [{ siteName: s, appName: a, priority: 1, weight: 1 }], localSocket: l, \
         appSocket: s, port: p, connectTimeout: 1s, idleTimeout: 1s, maxConnections: 1, maxConnectionsPerClient: 1 }",
    )
    .unwrap();
    assert_eq!(documented("ExposedApp"), keys(&serde_json::to_value(&exposed).unwrap()));
    assert_eq!(documented("AppPort"), keys(&serde_json::to_value(&exposed.ports[0]).unwrap()));
    assert_eq!(documented("RemoteApp"), keys(&serde_json::to_value(&remote).unwrap()));
    assert_eq!(documented("Provider"), keys(&serde_json::to_value(&remote.providers[0]).unwrap()));
}

fn documented(schema: &str) -> BTreeSet<String> {
    let document: Value = serde_json::from_str(&openapi_json()).unwrap();
    keys(&document["components"]["schemas"][schema]["properties"])
}

fn keys(object: &Value) -> BTreeSet<String> {
    object.as_object().unwrap().keys().cloned().collect()
}
