//! Which provider of a remote app a client gets.

use wovenet_config::app::Provider;

use crate::tunnel::ProviderState;

/// Chooses among `candidates`: the best state, then the lowest priority, then by weight with `random`. Returns the
/// index into `candidates`; `None` only when there are none.
pub(super) fn choose(candidates: &[(&Provider, ProviderState)], random: u64) -> Option<usize> {
    let best = candidates.iter().map(rank).min()?;
    let equals = || candidates.iter().enumerate().filter(|(_, candidate)| rank(candidate) == best);
    let total: u64 = equals().map(|(_, (provider, _))| u64::from(provider.weight)).sum();
    if total == 0 {
        let count = equals().count() as u64;
        return equals().nth((random % count.max(1)) as usize).map(|(index, _)| index);
    }
    let mut left = random % total;
    for (index, (provider, _)) in equals() {
        match left.checked_sub(u64::from(provider.weight)) {
            Some(rest) => left = rest,
            None => return Some(index),
        }
    }
    None
}

fn rank((provider, state): &(&Provider, ProviderState)) -> (ProviderState, u16) {
    (*state, provider.priority)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn provider(priority: u16, weight: u16) -> Provider {
        Provider { site: "site".parse().unwrap(), app: "app".parse().unwrap(), priority, weight }
    }

    #[test]
    fn a_better_state_wins_over_a_lower_priority_number() {
        let (a, b) = (provider(0, 1), provider(9, 1));
        let choice = choose(&[(&a, ProviderState::NoPath), (&b, ProviderState::Available)], 0);
        assert_eq!(choice, Some(1));
    }

    #[test]
    fn among_equal_states_the_lowest_priority_number_wins() {
        let (a, b) = (provider(2, 100), provider(1, 1));
        assert_eq!(choose(&[(&a, ProviderState::Available), (&b, ProviderState::Available)], 7), Some(1));
    }

    #[test]
    fn weights_share_exactly_over_all_random_numbers() {
        let (a, b, c) = (provider(0, 3), provider(0, 0), provider(0, 1));
        let candidates =
            [(&a, ProviderState::Available), (&b, ProviderState::Available), (&c, ProviderState::Available)];
        let chosen: Vec<_> = (0..400).filter_map(|random| choose(&candidates, random)).collect();
        let count = |index| chosen.iter().filter(|&&i| i == index).count();
        assert_eq!((count(0), count(1), count(2)), (300, 0, 100));
    }

    #[test]
    fn a_weight_of_zero_serves_when_no_other_is_left() {
        let a = provider(0, 0);
        assert_eq!(choose(&[(&a, ProviderState::Available)], u64::MAX), Some(0));
        assert_eq!(choose(&[], 0), None);
    }

    proptest! {
        #[test]
        fn one_of_the_best_is_always_chosen(
            list in proptest::collection::vec((0u16..4, 0u16..4, 0usize..4), 1..8), random: u64,
        ) {
            const STATES: [ProviderState; 4] =
                [ProviderState::Available, ProviderState::Unhealthy, ProviderState::NotExposed, ProviderState::NoPath];
            let owned: Vec<_> = list.iter().map(|&(p, w, s)| (provider(p, w), STATES[s])).collect();
            let candidates: Vec<_> = owned.iter().map(|(p, s)| (p, *s)).collect();
            let chosen = candidates[choose(&candidates, random).unwrap()];
            prop_assert!(candidates.iter().all(|other| rank(&chosen) <= rank(other)));
        }
    }
}
