//! Every rule of every kind, with an object that it accepts and one that it refuses.
//!
//! The cases are in `rules.yaml`, so that they can be tried against a real API server too.

use std::collections::BTreeSet;

use kube::core::cel::Validator;
use serde::Deserialize;
use serde_json::Value;

use crate::support::{definitions, schema, walk};

#[derive(Deserialize)]
struct Rules {
    base: std::collections::BTreeMap<String, Value>,
    cases: Vec<Case>,
}

/// The objects are what differs from the base of their kind (RFC 7386).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    kind: String,
    /// The message of the rule.
    rule: String,
    /// The object before an update.
    old: Option<Value>,
    accepted: Vec<Value>,
    refused: Vec<Value>,
}

#[test]
fn every_rule_accepts_and_refuses_what_its_cases_say() {
    let rules = rules();
    let definitions = definitions();
    let mut wrong = Vec::new();
    for case in &rules.cases {
        let base = &rules.base[&case.kind];
        let (_, definition) = definitions.iter().find(|(kind, _)| *kind == case.kind).expect("a definition");
        let old = case.old.as_ref().map(|old| merged(base, old));
        let judge = |patch: &Value| {
            let errors = Validator::new().validate(schema(definition), &merged(base, patch), old.as_ref());
            errors.err().map(|errors| errors.as_slice().iter().map(|error| error.message.clone()).collect::<Vec<_>>())
        };
        assert!(!case.accepted.is_empty() && !case.refused.is_empty(), "{} lacks an object", case.rule);
        let accepted = case.accepted.iter().map(|patch| (patch, None));
        let refused = case.refused.iter().map(|patch| (patch, Some(vec![case.rule.clone()])));
        for (patch, wanted) in accepted.chain(refused) {
            let judged = judge(patch);
            if judged != wanted {
                wrong.push(format!("{} {patch}: {judged:?} instead of {wanted:?}", case.rule));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_rule_has_a_case() {
    let covered: BTreeSet<_> = rules().cases.into_iter().map(|case| (case.kind, case.rule)).collect();
    let mut known = BTreeSet::new();
    for (kind, definition) in definitions() {
        walk(&kind, schema(&definition), &mut |path, fields| {
            for rule in fields.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten() {
                let message = rule["message"].as_str().unwrap_or_else(|| panic!("a rule of {path} has no message"));
                known.insert((kind.clone(), message.to_owned()));
            }
        });
    }
    assert_eq!(known.difference(&covered).collect::<Vec<_>>(), Vec::<&(String, String)>::new(), "rules without a case");
    assert_eq!(covered.difference(&known).collect::<Vec<_>>(), Vec::<&(String, String)>::new(), "cases without a rule");
}

fn rules() -> Rules {
    serde_yaml::from_str(include_str!("rules.yaml")).expect("rules.yaml")
}

fn merged(base: &Value, patch: &Value) -> Value {
    let mut object = base.clone();
    merge(&mut object, patch);
    object
}

fn merge(value: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *value = patch.clone();
        return;
    };
    if !value.is_object() {
        *value = Value::Object(serde_json::Map::new());
    }
    let Some(fields) = value.as_object_mut() else { return };
    for (name, patch) in patch {
        match patch {
            Value::Null => drop(fields.remove(name)),
            patch => merge(fields.entry(name).or_insert(Value::Null), patch),
        }
    }
}
