//! Loads files as tests write them.

use std::collections::BTreeMap;

use wovenet_config::{AgentConfig, Loaded, Problem};

/// The least that a file needs, without warnings.
pub(crate) const BASE: &str =
    "siteName: home\ncrypto: {key: a-long-enough-passphrase}\nmessageChannel: {protocol: mqtt}\n";

pub(crate) fn load(text: &str) -> Result<Loaded, Vec<Problem>> {
    wovenet_config::load("config.yaml", text.as_bytes(), &BTreeMap::new())
}

/// Loads the base and some more, which must be good.
pub(crate) fn good(more: &str) -> AgentConfig {
    whole(&format!("{BASE}{more}")).config
}

/// Loads a file that must be good.
pub(crate) fn whole(text: &str) -> Loaded {
    load(text).unwrap_or_else(|problems| panic!("{}\n{text}", lines(&problems)))
}

/// Loads the base and some more, and returns the warnings.
pub(crate) fn warnings(more: &str) -> String {
    lines(&whole(&format!("{BASE}{more}")).warnings)
}

/// Loads the base and some more, which must be refused.
pub(crate) fn bad(more: &str) -> String {
    bad_whole(&format!("{BASE}{more}"))
}

/// Loads a file that must be refused.
pub(crate) fn bad_whole(text: &str) -> String {
    match load(text) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(problems) => lines(&problems),
    }
}

pub(crate) fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

/// Asserts that each part is in the text.
#[track_caller]
pub(crate) fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}
