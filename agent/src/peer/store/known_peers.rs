//! The directory as what outlives the process ([`SavedPeers`]), and back.

use wovenet_identity::saved_peers::SAVED_PEERS_MAX_BYTES;

use crate::peer::SavedPeers;
use crate::peer::directory::{Directory, KnownAgent, KnownSite, Now, Source};

fn newest_first(site: &KnownSite) -> Vec<&KnownAgent> {
    let mut agents: Vec<_> = site.agents.values().collect();
    agents.sort_by_key(|agent| std::cmp::Reverse(agent.learned_at));
    agents
}

/// Writes every bound name, then as many statements as fit, those of connected sites first.
pub fn render_peers(directory: &Directory) -> Vec<u8> {
    let mut sites: Vec<&KnownSite> = directory.sites().filter(|site| site.conflict.is_none()).collect();
    sites.sort_by_key(|site| std::cmp::Reverse((site.connected, site.pinned, site.last_seen)));
    let agents = sites.iter().flat_map(|site| newest_first(site));
    SavedPeers::render(directory.pins(), agents.map(|agent| &*agent.signed), SAVED_PEERS_MAX_BYTES)
}

/// Learns everything that still stands; configuration may have changed in between.
pub(super) fn load(saved: &SavedPeers, directory: &mut Directory, now: Now) {
    for (name, key) in saved.pins() {
        if let Err(refusal) = directory.bind(name, &key) {
            tracing::debug!(site = %name, %refusal, "a saved binding no longer stands");
        }
    }
    for signed in saved.statements() {
        let Some(signed) = signed else {
            tracing::warn!("a saved statement is damaged, going on without it");
            continue;
        };
        if let Err(refusal) = directory.learn(&signed, Source::Store, now) {
            tracing::debug!(site = %signed.statement().name, %refusal, "a saved statement no longer stands");
        }
    }
}
