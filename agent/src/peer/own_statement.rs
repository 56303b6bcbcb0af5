//! What this agent states about itself. All who speak for it draw from one sequence, so that none is taken for a replay.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wovenet_config::name::SiteName;

use crate::peer::site_key::SiteKey;
use crate::peer::statement::{
    EndpointAddress, PROTOCOL_VERSION, SignedStatement, Statement, StatementError, TTL_SECONDS,
};

/// A statement to be made, without its place in the sequence. Clones share the sequence.
#[derive(Clone, Debug)]
pub struct OwnStatement {
    base: Statement,
    sequence: Arc<AtomicU64>,
}

impl OwnStatement {
    /// Prepares the statement of the agent on `host`, without endpoints.
    pub fn new(key: &SiteKey, name: SiteName, host: &str, generation: u64) -> Self {
        let base = Statement {
            site: key.site_id(),
            name,
            agent: key.agent_id(host),
            host: host.to_owned(),
            generation,
            sequence: 0,
            ttl: TTL_SECONDS,
            endpoints: Vec::new(),
            versions: vec![PROTOCOL_VERSION],
            delegations: Vec::new(),
            in_reply_to: None,
        };
        Self { base, sequence: Arc::new(AtomicU64::new(0)) }
    }

    /// Returns the same agent with other endpoints, in the same sequence.
    #[must_use]
    pub fn with_endpoints(&self, endpoints: Vec<EndpointAddress>) -> Self {
        Self { base: Statement { endpoints, ..self.base.clone() }, sequence: self.sequence.clone() }
    }

    /// Returns what is stated, without its place in the sequence.
    pub fn base(&self) -> &Statement {
        &self.base
    }

    /// Signs the statement with the next place in the sequence.
    ///
    /// # Errors
    /// [`StatementError`] when its readers would refuse it.
    pub fn sign(&self, key: &SiteKey, in_reply_to: Option<String>) -> Result<SignedStatement, StatementError> {
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed) + 1;
        SignedStatement::sign(key, Statement { sequence, in_reply_to, ..self.base.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::testing::{endpoint, site_key};

    #[test]
    fn clones_and_changed_endpoints_share_one_growing_sequence() {
        let key = site_key(1);
        let own = OwnStatement::new(&key, "home".parse().unwrap(), "node-1", 7);
        let moved = own.clone().with_endpoints(vec![endpoint("192.0.2.1")]);
        let marks = [&own, &moved, &own].map(|own| own.sign(&key, None).unwrap().statement().mark());
        assert_eq!(marks, [(7, 1), (7, 2), (7, 3)]);
    }
}
