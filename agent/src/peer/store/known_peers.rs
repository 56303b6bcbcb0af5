//! The known peers as a file: bound names, and the last statement of each agent as it was signed. A statement carries
//! its own replay mark, and is verified again when read.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use wovenet_config::name::SiteName;

use crate::peer::directory::{Directory, KnownAgent, KnownSite, Now, Source};
use crate::peer::statement::SignedStatement;

/// The longest file of known peers, in bytes; the least recently useful statements are left out.
pub const PEERS_FILE_MAX_BYTES: usize = 1 << 20;
/// The most statements in the file, as in the Secret of a Kubernetes site.
const STATEMENTS_MAX: usize = 256;
const FORMAT: u32 = 1;

/// What is known of peers, in the form that outlives a process: a file, or a Secret that an operator keeps.
#[derive(Debug, Serialize, Deserialize)]
pub struct SavedPeers {
    version: u32,
    #[serde(default)]
    pins: BTreeMap<SiteName, String>,
    #[serde(default)]
    statements: Vec<String>,
}

fn newest_first(site: &KnownSite) -> Vec<&KnownAgent> {
    let mut agents: Vec<_> = site.agents.values().collect();
    agents.sort_by_key(|agent| std::cmp::Reverse(agent.learned_at));
    agents
}

impl SavedPeers {
    /// Reads the file; `None` when it is damaged as a whole.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(|saved: &Self| saved.version == FORMAT)
    }

    /// Writes the file: every bound name, then as many statements as fit, those of connected sites first.
    pub fn render(directory: &Directory) -> Vec<u8> {
        let mut sites: Vec<&KnownSite> = directory.sites().filter(|site| site.conflict.is_none()).collect();
        sites.sort_by_key(|site| std::cmp::Reverse((site.connected, site.pinned, site.last_seen)));
        let pins: BTreeMap<_, _> = directory.pins().map(|(name, key)| (name.clone(), key.to_string())).collect();
        let mut saved = Self { version: FORMAT, pins, statements: Vec::new() };
        let mut bytes_left =
            PEERS_FILE_MAX_BYTES.saturating_sub(serde_json::to_vec(&saved).map_or(0, |json| json.len()));
        for agent in sites.iter().flat_map(|site| newest_first(site)).take(STATEMENTS_MAX) {
            let text = STANDARD.encode(&agent.signed);
            match bytes_left.checked_sub(text.len() + r#""","#.len()) {
                Some(left) => bytes_left = left,
                None => break,
            }
            saved.statements.push(text);
        }
        serde_json::to_vec(&saved).unwrap_or_default()
    }

    /// Learns everything that still stands; configuration may have changed in between.
    pub fn load_into(&self, directory: &mut Directory, now: Now) {
        for (name, key) in &self.pins {
            if let Ok(key) = key.parse()
                && let Err(refusal) = directory.bind(name, &key)
            {
                tracing::debug!(site = %name, %refusal, "a saved binding no longer stands");
            }
        }
        for text in self.statements.iter().take(STATEMENTS_MAX) {
            let signed = STANDARD.decode(text).ok().and_then(|bytes| SignedStatement::from_bytes(&bytes).ok());
            let Some(signed) = signed else {
                tracing::warn!("a saved statement is damaged, going on without it");
                continue;
            };
            if let Err(refusal) = directory.learn(&signed, Source::Store, now) {
                tracing::debug!(site = %signed.statement().name, %refusal, "a saved statement no longer stands");
            }
        }
    }
}
