//! Which agents of a site announce, and which of them answers a hello: rendezvous hashes, so that all agents come to
//! the same choice without talking.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use wovenet_config::key::SiteId;

use crate::peer::site_key::AgentId;

/// The most agents of a site that announce (docs/protocol.md §3).
pub const ANNOUNCERS_MAX: usize = 8;
/// How long an agent counts that is not heard of: three times the longest round.
const SILENT_MAX: Duration = Duration::from_secs(18 * 60);
/// The most agents of this site that are watched.
const WATCHED_MAX: usize = 1_024;

/// Returns the agents of `site` that announce.
pub fn announcers<'a>(site: SiteId, agents: impl IntoIterator<Item = &'a AgentId>) -> BTreeSet<&'a AgentId> {
    let mut ranked: Vec<_> = agents.into_iter().map(|agent| (rank(site, agent), agent)).collect();
    ranked.sort_unstable();
    ranked.dedup();
    ranked.into_iter().take(ANNOUNCERS_MAX).map(|(_, agent)| agent).collect()
}

/// Returns the announcer that answers the site `asker`.
pub fn answerer<'a>(asker: SiteId, announcers: &BTreeSet<&'a AgentId>) -> Option<&'a AgentId> {
    announcers.iter().copied().min_by_key(|agent| rank(asker, agent))
}

fn rank(site: SiteId, agent: &AgentId) -> [u8; 32] {
    let hash = digest::digest(&digest::SHA256, &[site.as_str().as_bytes(), agent.as_str().as_bytes()].concat());
    hash.as_ref().try_into().unwrap_or([0; 32])
}

/// The other agents of this site that announce, as heard on the brokers.
#[derive(Debug, Default)]
pub(super) struct OwnAgents {
    heard: BTreeMap<AgentId, Heard>,
}

#[derive(Debug)]
struct Heard {
    at: Instant,
    generation: u64,
    online: bool,
}

impl OwnAgents {
    /// Notes an announcement of an agent of this site.
    pub(super) fn announced(&mut self, agent: &AgentId, generation: u64, now: Instant) {
        self.heard.retain(|_, heard| now.saturating_duration_since(heard.at) < SILENT_MAX);
        if self.heard.len() < WATCHED_MAX || self.heard.contains_key(agent) {
            let online = self.heard.get(agent).is_none_or(|heard| heard.online || heard.generation < generation);
            self.heard.insert(agent.clone(), Heard { at: now, generation, online });
        }
    }

    /// Notes that an agent of this site came or went.
    pub(super) fn status(&mut self, agent: &AgentId, generation: u64, online: bool) {
        if let Some(heard) = self.heard.get_mut(agent).filter(|heard| heard.generation <= generation) {
            heard.online = online;
        }
    }

    /// Tells whether `own` is one of the announcers of `site`.
    pub(super) fn is_announcer(&self, site: SiteId, own: &AgentId, now: Instant) -> bool {
        announcers(site, self.present(own, now)).contains(own)
    }

    /// Tells whether `own` is the agent of `site` that answers `asker`.
    pub(super) fn is_answerer(&self, site: SiteId, own: &AgentId, asker: SiteId, now: Instant) -> bool {
        answerer(asker, &announcers(site, self.present(own, now))) == Some(own)
    }

    fn present<'a>(&'a self, own: &'a AgentId, now: Instant) -> impl Iterator<Item = &'a AgentId> {
        let live = move |heard: &Heard| heard.online && now.saturating_duration_since(heard.at) < SILENT_MAX;
        let others = self.heard.iter().filter(move |(agent, heard)| *agent != own && live(heard));
        others.map(|(agent, _)| agent).chain([own])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::testing::site_key;

    fn agents(count: usize) -> Vec<AgentId> {
        (0..count).map(|number| site_key(1).agent_id(&format!("node-{number}"))).collect()
    }

    #[test]
    fn at_most_eight_announce_and_the_order_of_the_list_does_not_matter() {
        let (site, mut all) = (site_key(1).site_id(), agents(30));
        let chosen: Vec<_> = announcers(site, &all).into_iter().cloned().collect();
        all.reverse();
        assert_eq!(chosen.len(), ANNOUNCERS_MAX);
        assert_eq!(announcers(site, &all).into_iter().cloned().collect::<Vec<_>>(), chosen);
        assert_eq!(announcers(site, &all[..3]).len(), 3);
    }

    #[test]
    fn one_agent_answers_and_askers_spread_over_all_announcers() {
        let all = agents(4);
        let chosen = announcers(site_key(1).site_id(), &all);
        let answering: BTreeSet<_> = (2..60).filter_map(|asker| answerer(site_key(asker).site_id(), &chosen)).collect();
        assert_eq!(answering.len(), 4);
        assert_eq!(answerer(site_key(2).site_id(), &BTreeSet::new()), None);
    }

    #[test]
    fn an_agent_that_left_or_fell_silent_does_not_count() {
        let (site, all, start) = (site_key(1).site_id(), agents(20), Instant::now());
        let mut heard = OwnAgents::default();
        all.iter().for_each(|agent| heard.announced(agent, 1, start));
        let outsider = all.iter().find(|agent| !heard.is_announcer(site, agent, start)).unwrap();
        for agent in all.iter().filter(|agent| *agent != outsider) {
            heard.status(agent, 0, false);
        }
        assert!(!heard.is_announcer(site, outsider, start), "hints of older starts are ignored");
        assert!(heard.is_announcer(site, outsider, start + SILENT_MAX));
        for agent in all.iter().filter(|agent| *agent != outsider) {
            heard.status(agent, 1, false);
        }
        assert!(heard.is_announcer(site, outsider, start));
        heard.announced(&all[0], 1, start);
        assert!(heard.is_answerer(site, outsider, site_key(9).site_id(), start), "a retained echo revives nobody");
    }
}
