//! What all broker connections of an agent have in common.

use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use wovenet_config::key::SiteId;

use super::announcers::OwnAgents;
use super::metrics::DiscoveryMetrics;
use crate::peer::own_statement::OwnStatement;
use crate::peer::peers::Peers;
use crate::peer::site_key::{AgentId, SiteKey};

/// Shared by the coordinator and the connections.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) topic: Option<String>,
    pub(super) site_key: SiteKey,
    pub(super) site: SiteId,
    pub(super) agent: AgentId,
    pub(super) own: watch::Receiver<OwnStatement>,
    pub(super) peers: Peers,
    pub(super) metrics: DiscoveryMetrics,
    pub(super) own_agents: Mutex<OwnAgents>,
    pub(super) own_agents_changed: Notify,
    pub(super) key_mismatches: AtomicU64,
}
