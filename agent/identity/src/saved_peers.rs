//! What is known of peers in the form that outlives a process: a file of the agent, an answer to the operator, and the
//! Secret that the operator keeps. Bound names, and the last statement of each agent as it was signed. A statement carries
//! its own replay mark, and is verified again when read.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use wovenet_config::key::PublicKey;
use wovenet_config::name::SiteName;

use crate::statement::SignedStatement;

/// The longest form that is written or read, in bytes.
pub const SAVED_PEERS_MAX_BYTES: usize = 1 << 20;
/// The most statements in it.
pub const STATEMENTS_MAX: usize = 256;
const FORMAT: u32 = 1;

/// What is known of peers.
#[derive(Debug, Serialize, Deserialize)]
pub struct SavedPeers {
    version: u32,
    #[serde(default)]
    pins: BTreeMap<SiteName, String>,
    #[serde(default)]
    statements: Vec<String>,
}

impl SavedPeers {
    /// Reads it; `None` when it is damaged as a whole.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes = Some(bytes).filter(|bytes| bytes.len() <= SAVED_PEERS_MAX_BYTES)?;
        serde_json::from_slice(bytes).ok().filter(|saved: &Self| saved.version == FORMAT)
    }

    /// Writes every bound name, then as many statements as fit into `max_bytes`, the first ones first.
    pub fn render<'a>(
        pins: impl Iterator<Item = (&'a SiteName, &'a PublicKey)>,
        statements: impl Iterator<Item = &'a [u8]>,
        max_bytes: usize,
    ) -> Vec<u8> {
        let pins = pins.map(|(name, key)| (name.clone(), key.to_string())).collect();
        let mut saved = Self { version: FORMAT, pins, statements: Vec::new() };
        let mut bytes_left = max_bytes.saturating_sub(serde_json::to_vec(&saved).map_or(0, |json| json.len()));
        for statement in statements.take(STATEMENTS_MAX) {
            let text = STANDARD.encode(statement);
            match bytes_left.checked_sub(text.len() + r#""","#.len()) {
                Some(left) => bytes_left = left,
                None => break,
            }
            saved.statements.push(text);
        }
        serde_json::to_vec(&saved).unwrap_or_default()
    }

    /// Returns the bound names; one whose key cannot be read is left out.
    pub fn pins(&self) -> impl Iterator<Item = (&SiteName, PublicKey)> {
        self.pins.iter().filter_map(|(name, key)| Some((name, key.parse().ok()?)))
    }

    /// Returns the statements; `None` for one that is damaged or whose signature is wrong.
    pub fn statements(&self) -> impl Iterator<Item = Option<SignedStatement>> {
        let read = |text: &String| SignedStatement::from_bytes(&STANDARD.decode(text).ok()?).ok();
        self.statements.iter().take(STATEMENTS_MAX).map(read)
    }
}
