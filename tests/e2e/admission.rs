//! Bad objects are refused by the API server with the field named; stored bad ones hurt nobody else.

use serde_json::{Map, Value};

use wovenet_tests::clusters::PATIENCE_MINUTE;
use wovenet_tests::until::until;

use crate::installed::{Sites, installed};
use crate::stage::Stage;
use crate::world::world;

const RULES: &str = include_str!("../../crds/tests/kinds/rules.yaml");

/// FAULTS row 100.
#[test]
fn fault_100_the_api_server_gives_every_object_the_verdict_of_its_rules() {
    installed().unwrap();
    let a = &world().unwrap().a;
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds").display().to_string();
    a.kubectl(&["apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", &directory]).unwrap();
    let rules: Value = serde_yaml::from_str(RULES).unwrap();
    let (mut accepted, mut refused) = (0, 0);
    for case in rules["cases"].as_array().unwrap() {
        let base = &rules["base"][case["kind"].as_str().unwrap()];
        if let Some(old) = case.get("old") {
            let fields = names(old);
            a.apply("default", &merged(base, old).to_string()).unwrap();
            for change in case["refused"].as_array().into_iter().flatten() {
                let error = a.replace("default", &merged(base, change).to_string()).expect_err("it cannot be changed");
                let named = |name: &String| error.to_string().contains(name);
                assert!(names(change).iter().chain(&fields).any(named), "{error}");
                refused += 1;
            }
            a.kubectl(&["-n", "default", "delete", "wovenet", "--all"]).unwrap();
            continue;
        }
        for change in case["accepted"].as_array().into_iter().flatten() {
            let object = merged(base, change);
            try_to_make(a, &object).unwrap_or_else(|error| panic!("{object} is refused: {error:#}"));
            accepted += 1;
        }
        for change in case["refused"].as_array().into_iter().flatten() {
            let object = merged(base, change);
            let error = try_to_make(a, &object).expect_err(&format!("{object} is accepted")).to_string();
            assert!(error.contains("is invalid") || error.contains("Invalid value"), "{error}");
            assert!(names(change).iter().any(|name| error.contains(name)), "no field of {change} in: {error}");
            refused += 1;
        }
    }
    println!("{accepted} objects accepted, {refused} refused");
    assert!(accepted > 30 && refused > 30);
}

fn try_to_make(cluster: &wovenet_tests::clusters::Cluster, object: &Value) -> anyhow::Result<()> {
    cluster.create_dry_run("default", &object.to_string())
}

/// How an error may name what a change sets or takes away: the path of its section, such as `spec.expose`, or for a rule of
/// the whole object the name of section or field.
fn names(change: &Value) -> Vec<String> {
    let sections = change.as_object().into_iter().flatten().flat_map(|(whole, sections)| {
        let names = sections.as_object().into_iter().flatten().map(|(name, _)| name.clone());
        names.flat_map(move |name| [format!("{whole}.{name}"), name])
    });
    sections.chain(leaves(change)).collect()
}

fn leaves(change: &Value) -> Vec<String> {
    let Value::Object(fields) = change else {
        return change.as_array().into_iter().flatten().flat_map(leaves).collect();
    };
    let of_field = |(name, value): (&String, &Value)| match value {
        Value::Object(inner) if !inner.is_empty() => leaves(value),
        _ => std::iter::once(name.clone()).chain(leaves(value)).collect(),
    };
    fields.iter().flat_map(of_field).collect()
}

/// What was stored before the rules were, as after an upgrade of the definitions.
#[test]
fn fault_100_a_stored_app_that_its_rules_refuse_is_told_so_and_others_go_on() {
    let stage = Stage::new("stored").unwrap();
    let sites = Sites::new(&stage).unwrap();
    sites.serve_web().unwrap();
    let a = &stage.world.a;
    let definition = "crd/remoteapps.wovenet.io";
    let strict = a.get("default", definition).unwrap();
    let mut lax = strict.clone();
    without_rules(&mut lax);
    a.replace("default", &lax.to_string()).unwrap();
    let bad = sites.remote_app("bad", "ports: [{name: http, port: 80}]\n  limits: {connectTimeout: soon}");
    let stored = until("it is stored", PATIENCE_MINUTE, || a.apply(&stage.apps, &bad).ok());
    let mut strict = strict;
    strict["metadata"]["resourceVersion"] = Value::Null;
    a.replace("default", &strict.to_string()).unwrap();
    stored.unwrap();
    let invalid = r#"jsonpath={.status.conditions[?(@.type=="Accepted")].reason}=Invalid"#;
    a.wait(&stage.apps, "remoteapp/bad", invalid).unwrap();
    let told = a.get(&stage.apps, "remoteapp/bad").unwrap().to_string();
    assert!(told.contains("connectTimeout"), "{told}");
    sites.ready().unwrap();
    assert!(stage.page("web").unwrap().starts_with("web-"));
    // What is wrong can be mended, and the rules hold again.
    assert!(a.apply(&stage.apps, &bad.replace("name: bad", "name: worse")).is_err());
    a.apply(&stage.apps, &bad.replace("soon", "5s")).unwrap();
    a.wait(&stage.apps, "remoteapp/bad", "condition=Accepted").unwrap();
}

/// Takes away every rule and pattern of a definition.
fn without_rules(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.remove("x-kubernetes-validations");
            if fields.get("pattern").is_some_and(Value::is_string) {
                fields.remove("pattern");
            }
            fields.values_mut().for_each(without_rules);
        }
        Value::Array(items) => items.iter_mut().for_each(without_rules),
        _ => {}
    }
}

/// A JSON merge patch (RFC 7396).
fn merged(base: &Value, change: &Value) -> Value {
    let (Some(base_fields), Some(change)) = (base.as_object(), change.as_object()) else { return change.clone() };
    let mut fields: Map<String, Value> = base_fields.clone();
    for (key, value) in change {
        match value {
            Value::Null => drop(fields.remove(key)),
            value => {
                let before = fields.get(key).cloned().unwrap_or(Value::Object(Map::new()));
                fields.insert(key.clone(), merged(&before, value));
            }
        }
    }
    Value::Object(fields)
}
