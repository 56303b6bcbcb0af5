//! What to dial to a site, and in which order. Pure.

use std::net::SocketAddr;

use aws_lc_rs::digest;
use wovenet_config::tunnel::Scope;

use crate::peer::AgentId;

/// The most addresses that one dial tries.
pub const CANDIDATES_MAX: usize = 64;

/// An address to dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// The agent that should answer; unknown for a configured address.
    pub(super) agent: Option<AgentId>,
    pub(super) address: SocketAddr,
    pub(super) scope: Scope,
    pub(super) priority: u16,
}

/// What the plan needs to know of a channel that is up or being dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Used {
    pub(super) agent: Option<AgentId>,
    pub(super) address: SocketAddr,
    pub(super) ipv6: bool,
    pub(super) ordinal: u16,
}

/// One channel to make: addresses in order of preference, and the slot's ordinal for each family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dial {
    pub(super) candidates: Vec<Candidate>,
    pub(super) ordinal_ipv4: u16,
    pub(super) ordinal_ipv6: u16,
}

impl Dial {
    pub(super) fn ordinal(&self, ipv6: bool) -> u16 {
        if ipv6 { self.ordinal_ipv6 } else { self.ordinal_ipv4 }
    }
}

/// Plans the dials that bring the channels in use up to `want`: over distinct agents, families and addresses first,
/// agents in rendezvous order so that the agents of this site spread over those of the other. A family that has no
/// channel yet gets one even so, as the channels of the other may all have been dialled by the far side. Slots of
/// `leaving` channels, which are suspect or drain, are not taken from them.
pub(super) fn plan(own: &AgentId, candidates: &[Candidate], used: &[Used], leaving: &[Used], want: usize) -> Vec<Dial> {
    let mut planning = Planning { own, used: used.to_vec(), leaving, dials: Vec::new() };
    while planning.used.len() < want && !candidates.is_empty() {
        planning.dial(candidates.to_vec());
    }
    for ipv6 in [true, false] {
        let family: Vec<_> =
            candidates.iter().filter(|candidate| candidate.address.is_ipv6() == ipv6).cloned().collect();
        if want > 0 && !family.is_empty() && planning.used.iter().all(|used| used.ipv6 != ipv6) {
            planning.dial(family);
        }
    }
    planning.dials
}

struct Planning<'a> {
    own: &'a AgentId,
    used: Vec<Used>,
    leaving: &'a [Used],
    dials: Vec<Dial>,
}

impl Planning<'_> {
    /// Adds a dial to the candidate that is preferred now, and to the others should it fail.
    fn dial(&mut self, mut candidates: Vec<Candidate>) {
        candidates.sort_by_cached_key(|candidate| preference(self.own, candidate, &self.used));
        candidates.truncate(CANDIDATES_MAX);
        let taken: Vec<&Used> = self.used.iter().chain(self.leaving).collect();
        let (ordinal_ipv4, ordinal_ipv6) = (free_ordinal(&taken, false), free_ordinal(&taken, true));
        let first = &candidates[0];
        let ipv6 = first.address.is_ipv6();
        let ordinal = if ipv6 { ordinal_ipv6 } else { ordinal_ipv4 };
        self.used.push(Used { agent: first.agent.clone(), address: first.address, ipv6, ordinal });
        self.dials.push(Dial { candidates, ordinal_ipv4, ordinal_ipv6 });
    }
}

/// Plans one dial that spreads channels better: to an agent without a channel, while another agent has two. Agents are
/// heard of one by one, so the first one heard of may have got all channels. Where only addresses are left at which another
/// agent of the site has answered, as behind a load balancer, one of these is tried if `shared` says so.
pub(super) fn spread(own: &AgentId, candidates: &[Candidate], used: &[Used], shared: bool) -> Option<Dial> {
    let channels = |agent: &Option<AgentId>| used.iter().filter(|used| used.agent == *agent).count();
    used.iter().find(|used| channels(&used.agent) > 1)?;
    let is_shared =
        |candidate: &&Candidate| candidate.agent.is_none() || used.iter().any(|used| used.address == candidate.address);
    let unused = |candidate: &&Candidate| candidate.agent.is_some() && channels(&candidate.agent) == 0;
    let own_addresses: Vec<Candidate> =
        candidates.iter().filter(unused).filter(|candidate| !is_shared(candidate)).cloned().collect();
    let chosen = match own_addresses.is_empty() && shared {
        true => candidates
            .iter()
            .filter(is_shared)
            .map(|one| Candidate { agent: None, scope: Scope::Site, ..one.clone() })
            .collect(),
        false => own_addresses,
    };
    plan(own, &chosen, used, &[], used.len() + 1).pop()
}

type Preference = (usize, usize, usize, u16, [u8; 8], bool, SocketAddr);

fn preference(own: &AgentId, candidate: &Candidate, used: &[Used]) -> Preference {
    let ipv6 = candidate.address.is_ipv6();
    let count = |matches: &dyn Fn(&Used) -> bool| used.iter().filter(|used| matches(used)).count();
    (
        count(&|used| candidate.agent.is_some() && used.agent == candidate.agent),
        count(&|used| used.address == candidate.address),
        count(&|used| used.ipv6 == ipv6),
        candidate.priority,
        rendezvous(own, candidate.agent.as_ref()),
        !ipv6,
        candidate.address,
    )
}

/// Ranks an agent of another site for one of ours (highest random weight hashing, Thaler and Ravishankar 1998).
fn rendezvous(own: &AgentId, other: Option<&AgentId>) -> [u8; 8] {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(own.as_str().as_bytes());
    hash.update(other.map_or("", AgentId::as_str).as_bytes());
    let mut rank = [0u8; 8];
    rank.copy_from_slice(&hash.finish().as_ref()[..8]);
    rank
}

/// Returns the smallest ordinal of the family that no channel to the site uses, so that a site-scoped address, where
/// the answering agent is not known beforehand, never meets a taken slot.
fn free_ordinal(used: &[&Used], ipv6: bool) -> u16 {
    let taken = |ordinal| used.iter().any(|used| used.ipv6 == ipv6 && used.ordinal == ordinal);
    (0..u16::MAX).find(|ordinal| !taken(*ordinal)).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::SiteKey;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn agent(name: &str) -> AgentId {
        SiteKey::from_seed(&[5; 32]).unwrap().agent_id(name)
    }

    fn candidate(name: &str, address: &str) -> Candidate {
        Candidate { agent: Some(agent(name)), address: address.parse().unwrap(), scope: Scope::Agent, priority: 0 }
    }

    #[test]
    fn an_address_where_another_agent_answers_is_no_way_to_spread() {
        let own = agent("own");
        let candidates = [candidate("a", "192.0.2.1:1"), candidate("b", "192.0.2.1:1")];
        let used = |address: &str, ordinal| Used {
            agent: Some(agent("a")),
            address: address.parse().unwrap(),
            ipv6: false,
            ordinal,
        };
        let to_a = [used("192.0.2.1:1", 0), used("192.0.2.1:1", 1)];
        assert_eq!(spread(&own, &candidates, &to_a, false), None);
        let elsewhere = [candidate("a", "192.0.2.1:1"), candidate("b", "192.0.2.2:1")];
        assert!(spread(&own, &elsewhere, &to_a, false).is_some());
    }

    #[test]
    fn an_address_that_several_agents_share_is_tried_again_only_where_no_agent_has_its_own() {
        let own = agent("own");
        let used =
            |ordinal| Used { agent: Some(agent("a")), address: "192.0.2.1:1".parse().unwrap(), ipv6: false, ordinal };
        let balanced = Candidate { agent: None, scope: Scope::Site, ..candidate("a", "192.0.2.1:1") };
        let dial = spread(&own, std::slice::from_ref(&balanced), &[used(0), used(1)], true).unwrap();
        assert_eq!((dial.candidates[0].agent.clone(), dial.ordinal_ipv4), (None, 2));
        let dial = spread(&own, &[balanced, candidate("b", "192.0.2.2:1")], &[used(0), used(1)], true).unwrap();
        assert_eq!(dial.candidates[0].agent, Some(agent("b")));
    }

    #[test]
    fn two_channels_to_one_agent_take_both_address_families() {
        let candidates = [candidate("a", "192.0.2.1:1"), candidate("a", "[2001:db8::1]:1")];
        let dials = plan(&agent("own"), &candidates, &[], &[], 2);
        let families: BTreeSet<bool> = dials.iter().map(|dial| dial.candidates[0].address.is_ipv6()).collect();
        assert_eq!(families.len(), 2);
    }

    #[test]
    fn two_channels_go_to_distinct_agents_when_there_are_two() {
        let candidates =
            [candidate("a", "192.0.2.1:1"), candidate("a", "[2001:db8::1]:1"), candidate("b", "192.0.2.2:1")];
        let dials = plan(&agent("own"), &candidates, &[], &[], 2);
        let agents: BTreeSet<_> = dials.iter().map(|dial| dial.candidates[0].agent.clone()).collect();
        assert_eq!(agents.len(), 2);
    }

    #[test]
    fn a_channel_that_the_far_side_dialled_counts() {
        let used =
            |ordinal| Used { agent: Some(agent("a")), address: "192.0.2.1:9".parse().unwrap(), ipv6: false, ordinal };
        let candidates = [candidate("a", "192.0.2.1:1")];
        assert!(plan(&agent("own"), &candidates, &[used(0), used(1)], &[], 2).is_empty());
        let dials = plan(&agent("own"), &candidates, &[used(0)], &[], 2);
        assert_eq!((dials.len(), dials[0].ordinal_ipv4), (1, 1));
    }

    #[test]
    fn a_second_channel_moves_to_an_agent_that_is_heard_of_later_and_not_again() {
        let used = |name: &str, ordinal| Used {
            agent: Some(agent(name)),
            address: "192.0.2.1:1".parse().unwrap(),
            ipv6: false,
            ordinal,
        };
        let candidates = [candidate("a", "192.0.2.1:1"), candidate("b", "192.0.2.2:1")];
        let dial = spread(&agent("own"), &candidates, &[used("a", 0), used("a", 1)], true).unwrap();
        assert_eq!((dial.candidates[0].agent.clone(), dial.ordinal_ipv4), (Some(agent("b")), 2));
        assert_eq!(spread(&agent("own"), &candidates, &[used("a", 0), used("b", 1)], true), None);
        assert_eq!(spread(&agent("own"), &candidates[..1], &[used("a", 0), used("a", 1)], false), None);
    }

    #[test]
    fn a_family_without_a_channel_gets_one_although_the_other_has_enough() {
        let used = |ordinal| Used {
            agent: Some(agent("a")),
            address: "[2001:db8::1]:9".parse().unwrap(),
            ipv6: true,
            ordinal,
        };
        let candidates = [candidate("a", "192.0.2.1:1"), candidate("a", "[2001:db8::1]:1")];
        let dials = plan(&agent("own"), &candidates, &[used(0), used(1)], &[], 2);
        assert_eq!(dials.len(), 1);
        assert!(dials[0].candidates.iter().all(|candidate| candidate.address.is_ipv4()));
    }

    #[test]
    fn a_channel_that_is_leaving_does_not_count_and_keeps_its_slot() {
        let leaving =
            Used { agent: Some(agent("a")), address: "192.0.2.1:1".parse().unwrap(), ipv6: false, ordinal: 0 };
        let dials = plan(&agent("own"), &[candidate("a", "192.0.2.1:1")], &[], &[leaving], 2);
        assert_eq!(dials.iter().map(|dial| dial.ordinal_ipv4).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn many_agents_spread_over_the_agents_of_a_site() {
        let names = ["a", "b", "c", "d"];
        let candidates: Vec<_> =
            names.iter().enumerate().map(|(i, name)| candidate(name, &format!("192.0.2.{}:1", i + 1))).collect();
        let mut load: BTreeMap<_, usize> = BTreeMap::new();
        for own in 0..100 {
            for dial in plan(&agent(&format!("own-{own}")), &candidates, &[], &[], 2) {
                *load.entry(dial.candidates[0].agent.clone()).or_default() += 1;
            }
        }
        assert_eq!(load.values().sum::<usize>(), 200);
        assert!(load.values().all(|count| (20..=80).contains(count)), "{load:?}");
    }

    proptest! {
        #[test]
        fn slots_of_one_plan_never_collide(v4 in 0usize..5, v6 in 0usize..5, want in 0usize..16) {
            let candidates: Vec<_> = (0..v4).map(|i| candidate("a", &format!("192.0.2.{}:1", i + 1)))
                .chain((0..v6).map(|i| candidate("b", &format!("[2001:db8::{}]:1", i + 1)))).collect();
            let dials = plan(&agent("own"), &candidates, &[], &[], want);
            let families = usize::from(v4 > 0) + usize::from(v6 > 0);
            let expected = if want == 0 || candidates.is_empty() { 0 } else { want.max(families) };
            prop_assert_eq!(dials.len(), expected);
            let slots: BTreeSet<_> = dials.iter().map(|dial| {
                let ipv6 = dial.candidates[0].address.is_ipv6();
                (ipv6, dial.ordinal(ipv6))
            }).collect();
            prop_assert_eq!(slots.len(), dials.len());
        }
    }
}
