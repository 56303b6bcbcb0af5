//! Which channels between two agents stay when a new one comes up (docs/protocol.md §4). Pure.

use crate::peer::AgentId;
use crate::tunnel::channel::{ChannelId, Direction};
use crate::tunnel::frame::Slot;

/// What the rule looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) id: ChannelId,
    pub(super) agent: AgentId,
    pub(super) generation: u64,
    pub(super) slot: Slot,
    pub(super) direction: Direction,
}

/// What happens to a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its other end is a process that no longer runs, or was dialled again.
    Close,
    /// It ends when its streams have.
    Drain,
}

/// Decides for every channel to the new one's site, the new one included; who is not named stays as it is.
/// `own_dials_stay` tells whether this site has the smaller id, so that both sides decide alike.
pub(super) fn settle(existing: &[Candidate], new: &Candidate, own_dials_stay: bool) -> Vec<(ChannelId, Fate)> {
    let same_agent = || existing.iter().filter(|old| old.agent == new.agent);
    if same_agent().any(|old| old.generation > new.generation) {
        return vec![(new.id, Fate::Close)];
    }
    let mut fates: Vec<_> =
        same_agent().filter(|old| old.generation < new.generation).map(|old| (old.id, Fate::Close)).collect();
    for old in same_agent().filter(|old| old.generation == new.generation && old.slot == new.slot) {
        fates.push(match (old.direction, new.direction) {
            (old_way, new_way) if old_way == new_way => (old.id, Fate::Close),
            (Direction::Dialled, Direction::Accepted) => (if own_dials_stay { new.id } else { old.id }, Fate::Drain),
            _ => (if own_dials_stay { old.id } else { new.id }, Fate::Drain),
        });
    }
    fates
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::{SiteKey, Transport};
    use proptest::prelude::*;

    fn candidate(id: ChannelId, generation: u64, ordinal: u16, direction: Direction) -> Candidate {
        let agent = SiteKey::from_seed(&[1; 32]).unwrap().agent_id("a");
        Candidate { id, agent, generation, slot: Slot { transport: Transport::Quic, ipv6: false, ordinal }, direction }
    }

    #[test]
    fn a_new_start_of_the_peer_replaces_all_its_old_channels_at_once() {
        let old = [candidate(1, 5, 0, Direction::Dialled), candidate(2, 5, 1, Direction::Accepted)];
        let fates = settle(&old, &candidate(3, 6, 0, Direction::Accepted), true);
        assert_eq!(fates, vec![(1, Fate::Close), (2, Fate::Close)]);
    }

    #[test]
    fn a_late_channel_of_an_old_start_never_replaces_a_new_one() {
        let fates = settle(&[candidate(1, 6, 0, Direction::Accepted)], &candidate(2, 5, 0, Direction::Accepted), true);
        assert_eq!(fates, vec![(2, Fate::Close)]);
    }

    #[test]
    fn a_redial_of_a_slot_replaces_the_channel_before_it() {
        let fates = settle(&[candidate(1, 5, 0, Direction::Accepted)], &candidate(2, 5, 0, Direction::Accepted), true);
        assert_eq!(fates, vec![(1, Fate::Close)]);
    }

    proptest! {
        /// FAULTS 47: both sides dial the same slot at once, and see the two channels come up in any order.
        #[test]
        fn both_sides_keep_the_same_one_of_two_simultaneous_dials(smaller_first: bool, larger_first: bool) {
            let side = |own_dials_stay: bool, own_first: bool| {
                let (own, theirs) = (candidate(1, 5, 0, Direction::Dialled), candidate(2, 5, 0, Direction::Accepted));
                let fates = if own_first { settle(&[own], &theirs, own_dials_stay) } else { settle(&[theirs], &own, own_dials_stay) };
                prop_assert_eq!(fates.len(), 1);
                prop_assert_eq!(fates[0].1, Fate::Drain);
                Ok(fates[0].0 == 1)
            };
            let smaller_drains_own = side(true, smaller_first)?;
            let larger_drains_own = side(false, larger_first)?;
            prop_assert!(!smaller_drains_own && larger_drains_own);
        }
    }
}
