use super::*;
use crate::peer::testing::{endpoint, signed, site_key, statement};
use proptest::prelude::*;
use wovenet_config::peer::HostPort;

const HOUR_MS: u64 = 60 * 60 * 1_000;

fn now() -> Now {
    Now { unix_ms: 1_000 * HOUR_MS, instant: Instant::now() }
}

fn directory() -> Directory {
    directory_with(Trust::SharedKey, &[], &[])
}

fn directory_with(trust: Trust, peers: &[Peer], denied: &[PublicKey]) -> Directory {
    Directory::new(site_key(0).site_id(), "own".parse().unwrap(), trust, peers, denied)
}

fn peer(name: &str, number: u32) -> Peer {
    let addresses = vec![HostPort { host: "peer.example".into(), port: 51820 }];
    Peer { site: name.parse().unwrap(), public_key: site_key(number).public(), addresses }
}

fn heard(directory: &mut Directory, number: u32, name: &str, mark: (u64, u64)) -> Result<Learning, Refusal> {
    directory.learn(&signed(&site_key(number), name, "node-1", mark), Source::MessageChannel, now())
}

fn holder(directory: &Directory, name: &str) -> Option<SiteId> {
    directory.site_by_name(&name.parse().unwrap()).map(|site| site.id)
}

#[test]
fn fault_6_a_replayed_statement_and_an_older_one_change_nothing() {
    let mut directory = directory();
    assert_eq!(heard(&mut directory, 1, "home", (5, 2)), Ok(Learning::New));
    assert_eq!(heard(&mut directory, 1, "home", (5, 2)), Err(Refusal::Replay));
    assert_eq!(heard(&mut directory, 1, "home", (5, 1)), Err(Refusal::Old));
    assert_eq!(heard(&mut directory, 1, "home", (4, 9)), Err(Refusal::Old));
    assert_eq!(heard(&mut directory, 1, "home", (5, 3)), Ok(Learning::Refreshed));
    assert_eq!(heard(&mut directory, 1, "home", (6, 1)), Ok(Learning::Changed));
}

#[test]
fn our_own_statement_sent_back_is_refused() {
    let mut directory = directory();
    assert_eq!(heard(&mut directory, 0, "own", (1, 1)), Err(Refusal::Own));
    assert_eq!(directory.check(&site_key(0).public(), &"own".parse().unwrap()), Err(Refusal::Own));
    assert_eq!(directory.sites().count(), 0);
}

#[test]
fn an_hour_of_skew_changes_nothing_and_a_hundred_years_are_refused_of_strangers_only() {
    let mut directory = directory();
    let ahead = now().unix_ms + HOUR_MS;
    assert_eq!(heard(&mut directory, 1, "home", (ahead, 1)), Ok(Learning::New));
    assert_eq!(heard(&mut directory, 2, "past", (1, 1)), Ok(Learning::New));
    let absurd = now().unix_ms + 100 * 365 * 24 * HOUR_MS;
    assert_eq!(heard(&mut directory, 3, "future", (absurd, 1)), Err(Refusal::FarFuture));
    assert_eq!(heard(&mut directory, 1, "home", (absurd, 1)), Ok(Learning::Changed));
}

#[test]
fn a_second_key_for_a_bound_name_is_shown_and_never_replaces_the_first() {
    let mut directory = directory();
    let name = "home".parse().unwrap();
    let (first, second) = (site_key(1), site_key(2));
    directory.bind(&name, &first.public()).unwrap();
    let conflict = Refusal::NameConflict { bound_to: first.site_id() };
    assert_eq!(heard(&mut directory, 2, "home", (1, 1)), Err(conflict.clone()));
    assert_eq!(directory.bind(&name, &second.public()), Err(conflict.clone()));
    assert_eq!(directory.check(&second.public(), &name), Err(conflict));
    assert_eq!(holder(&directory, "home"), Some(first.site_id()));
    assert_eq!(directory.site(second.site_id()).unwrap().conflict, Some(first.site_id()));
    assert_eq!(directory.conflicts().count(), 1);
    directory.unpin(&[Pin { site: name.clone(), public_key: first.public() }]);
    assert_eq!(directory.bind(&name, &second.public()), Ok(()));
    assert_eq!(holder(&directory, "home"), Some(second.site_id()));
}

#[test]
fn a_binding_that_was_given_up_is_not_made_again_and_the_next_key_is_protected_like_any() {
    let mut directory = directory();
    let name: SiteName = "home".parse().unwrap();
    let (first, second, third) = (site_key(1), site_key(2), site_key(3));
    directory.bind(&name, &first.public()).unwrap();
    directory.unpin(&[Pin { site: name.clone(), public_key: first.public() }]);
    assert_eq!(directory.pins().count(), 0);
    directory.bind(&name, &first.public()).unwrap();
    assert_eq!((directory.pins().count(), holder(&directory, "home")), (0, Some(first.site_id())));
    directory.bind(&name, &second.public()).unwrap();
    let conflict = Err(Refusal::NameConflict { bound_to: second.site_id() });
    for other in [&first, &third] {
        assert_eq!(directory.bind(&name, &other.public()), conflict);
    }
    let villa = "villa".parse().unwrap();
    directory.bind(&villa, &first.public()).unwrap();
    assert_eq!(holder(&directory, "villa"), Some(first.site_id()));
}

#[test]
fn a_configured_binding_is_never_given_up() {
    let mut directory = directory_with(Trust::SharedKey, &[peer("home", 1)], &[]);
    directory.unpin(&[Pin { site: "home".parse().unwrap(), public_key: site_key(1).public() }]);
    directory.bind(&"home".parse().unwrap(), &site_key(1).public()).unwrap();
    assert_eq!(directory.pins().count(), 1);
}

#[test]
fn the_first_claim_of_an_unbound_name_holds_until_a_channel_proves_another() {
    let mut directory = directory();
    heard(&mut directory, 1, "home", (1, 1)).unwrap();
    let conflict = Err(Refusal::NameConflict { bound_to: site_key(1).site_id() });
    assert_eq!(heard(&mut directory, 2, "home", (1, 1)), conflict);
    assert_eq!(heard(&mut directory, 1, "home", (1, 2)), Ok(Learning::Refreshed));
    assert_eq!(heard(&mut directory, 2, "home", (1, 2)), conflict);
    directory.bind(&"home".parse().unwrap(), &site_key(2).public()).unwrap();
    assert_eq!(holder(&directory, "home"), Some(site_key(2).site_id()));
}

#[test]
fn announcements_never_change_a_bound_name() {
    let mut directory = directory();
    directory.bind(&"home".parse().unwrap(), &site_key(1).public()).unwrap();
    assert_eq!(heard(&mut directory, 1, "villa", (1, 1)), Ok(Learning::New));
    assert_eq!(directory.site(site_key(1).site_id()).unwrap().name.as_str(), "home");
    directory.bind(&"villa".parse().unwrap(), &site_key(1).public()).unwrap();
    assert_eq!(holder(&directory, "villa"), Some(site_key(1).site_id()));
    assert_eq!(directory.pins().count(), 1);
}

#[test]
fn nobody_gets_our_own_name() {
    let mut directory = directory();
    let bound_to = site_key(0).site_id();
    assert_eq!(heard(&mut directory, 1, "own", (1, 1)), Err(Refusal::NameConflict { bound_to }));
    assert!(directory.bind(&"own".parse().unwrap(), &site_key(1).public()).is_err());
    assert_eq!(holder(&directory, "own"), None);
}

#[test]
fn with_pinned_trust_only_listed_keys_are_known() {
    let mut directory = directory_with(Trust::Pinned, &[peer("home", 1)], &[]);
    assert_eq!(heard(&mut directory, 1, "home", (1, 1)), Ok(Learning::New));
    assert_eq!(heard(&mut directory, 2, "other", (1, 1)), Err(Refusal::NotPinned));
    let other_name = directory.check(&site_key(1).public(), &"villa".parse().unwrap());
    assert_eq!(other_name, Err(Refusal::OtherName { listed_as: "home".parse().unwrap() }));
}

#[test]
fn denied_keys_leave_the_table_and_do_not_return() {
    let mut directory = directory();
    heard(&mut directory, 1, "home", (1, 1)).unwrap();
    directory.reconfigure(Trust::SharedKey, &[], &[site_key(1).public()]);
    assert_eq!(directory.sites().count(), 0);
    assert_eq!(heard(&mut directory, 1, "home", (1, 2)), Err(Refusal::Denied));
}

#[test]
fn configured_peers_are_known_before_they_speak_and_leave_with_the_configuration() {
    let mut directory = directory_with(Trust::SharedKey, &[peer("home", 1)], &[]);
    let site = directory.site_by_name(&"home".parse().unwrap()).unwrap();
    assert!(site.pinned && site.static_addresses.len() == 1);
    directory.reconfigure(Trust::SharedKey, &[], &[]);
    let site = directory.site(site_key(1).site_id()).unwrap();
    assert!(!site.pinned && site.static_addresses.is_empty());
}

#[test]
fn two_processes_that_share_our_identity_are_noticed() {
    let mut directory = directory();
    for mark in [(1, 1), (2, 1), (1, 2), (2, 2), (1, 3)] {
        heard(&mut directory, 0, "own", mark).unwrap_err();
    }
    assert!(directory.own_duplicate_seen().is_some());
}

#[test]
fn two_processes_that_share_a_peers_identity_are_noticed() {
    let mut directory = directory();
    for mark in [(1, 1), (2, 1), (1, 2), (2, 2), (1, 3)] {
        let _ = heard(&mut directory, 1, "home", mark);
    }
    assert!(directory.site(site_key(1).site_id()).unwrap().duplicate_seen().is_some());
}

#[test]
fn a_flood_of_sites_never_evicts_connected_and_pinned_ones() {
    let mut directory = directory();
    heard(&mut directory, 1, "connected", (1, 1)).unwrap();
    directory.set_connected(site_key(1).site_id(), true);
    directory.bind(&"pinned".parse().unwrap(), &site_key(2).public()).unwrap();
    for number in 3..SITES_MAX as u32 + 500 {
        heard(&mut directory, number, &format!("site-{number}"), (1, 1)).unwrap();
        assert!(directory.sites().count() <= SITES_MAX);
    }
    assert!(holder(&directory, "connected").is_some() && holder(&directory, "pinned").is_some());
    assert!(holder(&directory, "site-3").is_none());
}

#[test]
fn a_table_full_of_sites_that_stay_refuses_more() {
    let mut directory = directory();
    for number in 1..=SITES_MAX as u32 {
        directory.bind(&format!("site-{number}").parse().unwrap(), &site_key(number).public()).unwrap();
    }
    assert_eq!(heard(&mut directory, 9_999, "late", (1, 1)), Err(Refusal::Full));
}

#[test]
fn a_site_has_a_bounded_number_of_agents_and_the_newest_stay() {
    let (mut directory, key) = (directory(), site_key(1));
    for number in 0..AGENTS_PER_SITE_MAX + 10 {
        let from = signed(&key, "home", &format!("node-{number}"), (number as u64 + 1, 1));
        directory.learn(&from, Source::MessageChannel, now()).unwrap();
    }
    let site = directory.site(key.site_id()).unwrap();
    assert_eq!(site.agents.len(), AGENTS_PER_SITE_MAX);
    assert!(site.agents.values().all(|agent| agent.generation > 10));
}

#[test]
fn unusable_endpoints_are_dropped_when_learned() {
    let (mut directory, key) = (directory(), site_key(1));
    let mut stated = statement(&key, "home", "node-1", (1, 1));
    stated.endpoints = ["127.0.0.1", "224.0.0.1", "169.254.169.254", "192.0.2.7"].map(endpoint).to_vec();
    directory.learn(&SignedStatement::sign(&key, stated).unwrap(), Source::MessageChannel, now()).unwrap();
    let agent = directory.site(key.site_id()).unwrap().agents.values().next().unwrap();
    assert_eq!(agent.endpoints, [endpoint("192.0.2.7")]);
}

#[test]
fn an_early_will_is_only_a_hint_and_an_older_one_is_nothing() {
    let (mut directory, key) = (directory(), site_key(1));
    heard(&mut directory, 1, "home", (5, 1)).unwrap();
    let agent = key.agent_id("node-1");
    assert!(!directory.hint_offline(key.site_id(), &agent, 4, true));
    assert!(directory.hint_offline(key.site_id(), &agent, 5, true));
    assert_eq!(heard(&mut directory, 1, "home", (5, 2)), Ok(Learning::Changed));
    assert!(!directory.site(key.site_id()).unwrap().agents[&agent].offline_hint);
}

/// What of the table must not depend on the order of messages.
fn outcome(directory: &Directory) -> Vec<(SiteId, AgentId, (u64, u64))> {
    let agents = |site: &KnownSite| {
        let id = site.id;
        site.agents.iter().map(move |(agent, known)| (id, agent.clone(), known.mark())).collect::<Vec<_>>()
    };
    directory.sites().flat_map(agents).collect()
}

proptest! {
    #[test]
    fn shuffled_and_duplicated_messages_end_in_the_same_state(
        (marks, shuffled) in proptest::collection::vec((1u32..4, 0u8..3, 1u64..4, 1u64..6), 1..25)
            .prop_flat_map(|marks| (Just(marks.clone()), Just([marks.clone(), marks].concat()).prop_shuffle())),
    ) {
        let run = |marks: &[(u32, u8, u64, u64)]| {
            let mut directory = directory();
            for (number, node, generation, sequence) in marks {
                let host = format!("node-{node}");
                let from = signed(&site_key(*number), &format!("site-{number}"), &host, (*generation, *sequence));
                let _ = directory.learn(&from, Source::MessageChannel, now());
            }
            outcome(&directory)
        };
        prop_assert_eq!(run(&marks), run(&shuffled));
    }
}
