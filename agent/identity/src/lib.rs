//! Site keys, what is stated with them, and TLS whose two ends are such keys: between agents, and between the operator and
//! its agents.

pub mod saved_peers;
pub mod site_key;
pub mod statement;
pub mod tls;

pub use saved_peers::SavedPeers;
pub use site_key::{AgentId, AgentIdError, SiteKey, SiteKeyError};
pub use statement::{SignedStatement, Statement};

/// The application protocol of a data channel, with its version (RFC 7301).
pub const CHANNEL_ALPN: &[u8] = b"wovenet/1";
/// The application protocol of the operator's connection to an agent (RFC 7301).
pub const OPERATOR_ALPN: &[u8] = b"wovenet-operator/1";
