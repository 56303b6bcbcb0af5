//! Judges a document: every problem at once, or a configuration in which nothing can be wrong any more.
//!
//! In: a [`Document`]. Out: an [`AgentConfig`] and warnings, or all problems. Pure: no clock, no IO, no randomness.

mod api;
mod apps;
mod exposed_app;
mod keys;
mod listeners;
mod message_channel;
mod peers;
mod remote_app;
mod report;
mod tunnel;

use std::path::PathBuf;

use report::Report;

use crate::agent::AgentConfig;
use crate::document::{self, Document};
use crate::key::SiteId;
use crate::logger::{Format, Level, Logger};
use crate::name::SiteName;
use crate::problem::{Problem, Severity};

/// The longest node name, in bytes: that of a DNS name.
pub const NODE_NAME_MAX_BYTES: usize = 253;

/// A document that was found good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validated {
    /// What the agent obeys.
    pub config: AgentConfig,
    /// What is allowed but perhaps not meant.
    pub warnings: Vec<Problem>,
}

/// Judges a document as a whole.
///
/// # Errors
/// All problems, with the warnings, when at least one of them is an error.
pub fn validate(document: &Document) -> Result<Validated, Vec<Problem>> {
    let mut report = Report::default();
    let config = config(document, &mut report);
    let problems = report.into_problems();
    match config {
        Some(config) if problems.iter().all(|problem| problem.severity == Severity::Warning) => {
            Ok(Validated { config, warnings: problems })
        }
        _ => Err(problems),
    }
}

/// Every part is judged before the first missing one ends it.
fn config(document: &Document, report: &mut Report) -> Option<AgentConfig> {
    let site_name = site_name(document.site_name.as_deref(), report);
    let keys = keys::mesh_keys(document.crypto.as_ref(), report);
    let logger = logger(document.logger.as_ref(), report);
    let mqtt = message_channel::mqtt(document, report);
    let tunnel = tunnel::tunnel(document, report);
    let denied_keys = keys::denied_keys(&document.denied_keys, report);
    let peers = peers::peers(&document.peers, site_name.as_ref(), &denied_keys, report);
    let unpin = peers::unpin(&document.unpin, &peers, report);
    let trust = peers::trust(document, report);
    let exposed_apps = apps::exposed(&document.local_exposed_apps, report);
    let remote_apps = apps::remote(&document.remote_apps, site_name.as_ref(), report);
    let api = api::api(document.restful_api.as_ref(), report);
    let health = api::health(document.health.as_ref(), report);
    let state_dir = path("stateDir", document.state_dir.as_deref(), report);
    let site_key_file = path("siteKeyFile", document.site_key_file.as_deref(), report);
    let peers_file = path("peersFile", document.peers_file.as_deref(), report);
    let node_name = node_name(document.node_name.as_deref(), report);
    listeners::check(document, api.as_ref(), health, report);
    Some(AgentConfig {
        revision: document.revision.unwrap_or(0),
        site_name: site_name?,
        keys: keys?,
        logger: logger?,
        mqtt: mqtt?,
        tunnel: tunnel?,
        peers,
        denied_keys,
        unpin,
        trust: trust?,
        exposed_apps,
        remote_apps,
        api,
        health,
        state_dir,
        site_key_file,
        peers_file,
        node_name,
    })
}

/// Tells whether a text can be the name of a node or host.
pub fn is_node_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= NODE_NAME_MAX_BYTES && !name.chars().any(char::is_control)
}

fn node_name(text: Option<&str>, report: &mut Report) -> Option<String> {
    let name = text?;
    if !is_node_name(name) {
        report.error("nodeName", format!("must have 1 to {NODE_NAME_MAX_BYTES} bytes and no control characters"));
        return None;
    }
    Some(name.to_owned())
}

fn site_name(text: Option<&str>, report: &mut Report) -> Option<SiteName> {
    let name: SiteName = report.name("siteName", text)?;
    if name.as_str().parse::<SiteId>().is_ok() {
        report.warning(
            "siteName",
            "looks like a site id, so that no allowedSites can mean it by name; choose another name",
        );
    }
    Some(name)
}

fn logger(logger: Option<&document::Logger>, report: &mut Report) -> Option<Logger> {
    let Some(logger) = logger else { return Some(Logger::default()) };
    let levels = [
        ("error", Level::Error),
        ("warn", Level::Warn),
        ("info", Level::Info),
        ("debug", Level::Debug),
        ("trace", Level::Trace),
    ];
    let formats = [("text", Format::Text), ("json", Format::Json)];
    let level = report.word_of_any_case("logger.level", filled(logger.level.as_deref()), &levels);
    let format = report.word_of_any_case("logger.format", filled(logger.format.as_deref()), &formats);
    let file = path("logger.file", logger.file.as_deref(), report);
    Some(Logger { level: level?.unwrap_or_default(), format: format?.unwrap_or_default(), file })
}

/// Treats an empty text as an absent one.
fn filled(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

fn path(key: &str, text: Option<&str>, report: &mut Report) -> Option<PathBuf> {
    let text = filled(text)?;
    if text.contains('\0') {
        report.error(key, "has a NUL character, which no path can have");
    }
    if text.starts_with("~/") || text.contains("${") {
        report.warning(key, "is used as it is: ~ and ${…} are not expanded");
    }
    Some(PathBuf::from(text))
}
