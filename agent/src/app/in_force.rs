//! The configuration in force: which one that is after a start, and what another one may not change.

use std::sync::Arc;

use wovenet_config::{AgentConfig, Document, Loaded, Problem, validate};

use crate::api::agent::{ApplyError, Origin};
use crate::app::saved::{self, Choice, Saved};
use crate::peer::store::Store;
use crate::peer::{MeshKeyError, MeshKeyRing};

/// A configuration and where it came from.
#[derive(Clone, Debug)]
pub(super) struct InForce {
    pub(super) document: Arc<Document>,
    pub(super) config: Arc<AgentConfig>,
    pub(super) warnings: Arc<Vec<String>>,
    /// It came over the API, and holds until the file is changed.
    pub(super) from_api: bool,
}

impl InForce {
    /// Chooses after a start: the file, or what came over the API since.
    pub(super) fn choose(store: &Store, loaded: Loaded, file_hash: &str) -> Self {
        let saved: Option<Saved> = store.load_api_changes().and_then(|json| serde_json::from_slice(&json).ok());
        let from_file = |loaded: Loaded| Self {
            document: Arc::new(loaded.document),
            config: Arc::new(loaded.config),
            warnings: Arc::new(lines(&loaded.warnings)),
            from_api: false,
        };
        match (saved::choose(&loaded.document, file_hash, saved.as_ref()), saved) {
            (Choice::Saved, Some(saved)) => match validate(&saved.document) {
                Ok(valid) => {
                    tracing::info!(revision = valid.config.revision, "using the configuration that came over the API");
                    let warnings = Arc::new(lines(&valid.warnings));
                    Self {
                        document: Arc::new(saved.document),
                        config: Arc::new(valid.config),
                        warnings,
                        from_api: true,
                    }
                }
                Err(_) => {
                    tracing::warn!("the saved configuration is no longer valid; using the file");
                    from_file(loaded)
                }
            },
            (Choice::Superseded, _) => {
                tracing::warn!(
                    "the configuration file has changed since the API changed the configuration; using the file"
                );
                from_file(loaded)
            }
            _ => from_file(loaded),
        }
    }
}

pub(super) fn check_revision(before: &InForce, document: &Document, origin: Origin) -> Result<(), ApplyError> {
    let (current, offered) = (before.config.revision, document.revision.unwrap_or(0));
    if origin != Origin::Person && offered < current {
        return Err(ApplyError::Outdated { current, offered });
    }
    Ok(())
}

pub(super) fn check_unchangeable(before: &AgentConfig, after: &AgentConfig) -> Result<(), ApplyError> {
    let changed = [
        ("siteName", before.site_name != after.site_name),
        ("nodeName", before.node_name != after.node_name),
        ("siteKeyFile", before.site_key_file != after.site_key_file),
        ("stateDir", before.state_dir != after.state_dir),
    ];
    match changed.iter().find(|(_, differs)| *differs) {
        Some((key, _)) => Err(ApplyError::NeedsRestart(format!(
            "{key} cannot change while the agent runs: restart it with the new configuration"
        ))),
        None => Ok(()),
    }
}

pub(super) async fn derive_ring(config: &AgentConfig) -> Result<MeshKeyRing, MeshKeyError> {
    let (keys, topic) = (config.keys.clone(), topic(config).map(str::to_owned));
    let derived = tokio::task::spawn_blocking(move || MeshKeyRing::derive(&keys, topic.as_deref())).await;
    derived.unwrap_or(Err(MeshKeyError::Crypto))
}

pub(super) fn topic(config: &AgentConfig) -> Option<&str> {
    config.mqtt.as_ref().and_then(|mqtt| mqtt.topic.as_deref())
}

pub(super) fn lines(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}
