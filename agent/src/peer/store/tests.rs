use super::*;
use crate::peer::directory::{Refusal, Source};
use crate::peer::testing::{signed, site_key};
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;
use wovenet_config::peer::Trust;

fn directory() -> Directory {
    Directory::new(site_key(0).site_id(), "own".parse().unwrap(), Trust::SharedKey, &[], &[])
}

fn location(temporary: &TempDir) -> Location {
    Location::Directory(temporary.path().join("state"))
}

fn now() -> Now {
    Now { unix_ms: 1_000, instant: std::time::Instant::now() }
}

#[test]
fn a_restarted_agent_is_the_same_site_in_a_later_generation() {
    let temporary = TempDir::new().unwrap();
    let open = || Store::open(&location(&temporary)).unwrap();
    let (first, second) = {
        let store = open();
        (store.site_key().public(), store.next_generation(1_000))
    };
    let store = open();
    assert_eq!(store.site_key().public(), first);
    assert!(store.next_generation(10) > second);
}

#[test]
fn the_key_file_is_for_its_owner_only() {
    let temporary = TempDir::new().unwrap();
    let _store = Store::open(&location(&temporary)).unwrap();
    let metadata = fs::metadata(temporary.path().join("state/site.key")).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_malformed_site_key_is_fatal_and_left_alone() {
    let temporary = TempDir::new().unwrap();
    drop(Store::open(&location(&temporary)).unwrap());
    let path = temporary.path().join("state/site.key");
    for content in ["", "not a key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
        fs::write(&path, content).unwrap();
        assert!(matches!(Store::open(&location(&temporary)), Err(StoreError::MalformedKey { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
    }
}

#[test]
fn two_agents_cannot_share_a_state_directory() {
    let temporary = TempDir::new().unwrap();
    let store = Store::open(&location(&temporary)).unwrap();
    assert!(matches!(Store::open(&location(&temporary)), Err(StoreError::InUse { .. })));
    drop(store);
    assert!(Store::open(&location(&temporary)).is_ok());
}

#[test]
fn a_directory_that_cannot_be_made_is_a_clear_error_and_ephemeral_needs_none() {
    let temporary = TempDir::new().unwrap();
    let file = temporary.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Store::open(&Location::Directory(file.join("state"))).unwrap_err();
    assert!(error.to_string().contains("--ephemeral"));
    assert_eq!(Store::open(&Location::Ephemeral).unwrap().next_generation(5), 5);
}

#[test]
fn peers_and_their_replay_marks_outlive_a_restart() {
    let temporary = TempDir::new().unwrap();
    let old = signed(&site_key(1), "home", "node-1", (5, 1));
    let newer = signed(&site_key(1), "home", "node-1", (5, 2));
    {
        let (store, mut directory) = (Store::open(&location(&temporary)).unwrap(), directory());
        directory.learn(&newer, Source::MessageChannel, now()).unwrap();
        directory.bind(&"home".parse().unwrap(), &site_key(1).public()).unwrap();
        store.save_peers(&render_peers(&directory));
    }
    let (store, mut directory) = (Store::open(&location(&temporary)).unwrap(), directory());
    store.load_peers(&mut directory, now());
    let site = directory.site_by_name(&"home".parse().unwrap()).unwrap();
    assert!(site.pinned && site.agents.len() == 1);
    assert_eq!(directory.learn(&old, Source::MessageChannel, now()), Err(Refusal::Old));
    assert_eq!(directory.learn(&newer, Source::MessageChannel, now()), Err(Refusal::Replay));
}

#[test]
fn damaged_files_are_moved_aside_and_never_stop_the_agent() {
    let temporary = TempDir::new().unwrap();
    let state = temporary.path().join("state");
    let store = Store::open(&location(&temporary)).unwrap();
    let huge = vec![b'9'; SAVED_PEERS_MAX_BYTES + 1];
    for content in [&b"{\"version\":1,\"statements\":"[..], b"\xff\xfe", b"{\"version\":9}", &huge] {
        fs::write(state.join("peers.json"), content).unwrap();
        let mut directory = directory();
        store.load_peers(&mut directory, now());
        assert_eq!(directory.sites().count(), 0);
        assert!(!state.join("peers.json").exists() && state.join("peers.json.damaged").exists());
    }
    fs::write(state.join("generation"), "12x").unwrap();
    assert_eq!(store.next_generation(77), 77);
}

#[test]
fn one_damaged_statement_costs_only_itself() {
    let temporary = TempDir::new().unwrap();
    let store = Store::open(&location(&temporary)).unwrap();
    let mut known = directory();
    known.learn(&signed(&site_key(1), "home", "node-1", (5, 1)), Source::MessageChannel, now()).unwrap();
    store.save_peers(&render_peers(&known));
    let path = temporary.path().join("state/peers.json");
    let text = fs::read_to_string(&path).unwrap().replace("\"statements\":[", "\"statements\":[\"AAAA\",");
    fs::write(&path, text).unwrap();
    let mut read = directory();
    store.load_peers(&mut read, now());
    assert_eq!(read.sites().count(), 1);
}

#[test]
fn a_state_directory_that_goes_away_degrades_and_comes_back() {
    let temporary = TempDir::new().unwrap();
    let store = Store::open(&location(&temporary)).unwrap();
    fs::remove_dir_all(temporary.path().join("state")).unwrap();
    store.save_peers(&render_peers(&directory()));
    assert!(store.is_degraded() && !store.save_api_changes(b"{}"));
    fs::create_dir(temporary.path().join("state")).unwrap();
    assert!(store.save_api_changes(b"{}") && !store.is_degraded());
    assert_eq!(store.load_api_changes().unwrap(), b"{}");
}

#[test]
fn the_file_of_a_full_directory_stays_within_its_bound() {
    let mut directory = directory();
    for number in 1..=600 {
        let name = format!("{}{number}", "x".repeat(200));
        let _ = directory.learn(&signed(&site_key(number), &name, "node", (1, 1)), Source::MessageChannel, now());
        directory.bind(&name.parse().unwrap(), &site_key(number).public()).unwrap();
    }
    let bytes = render_peers(&directory);
    assert!(bytes.len() <= SAVED_PEERS_MAX_BYTES);
    assert!(SavedPeers::parse(&bytes).is_some());
}

#[test]
fn peers_that_are_given_are_known_and_what_the_agent_knows_itself_comes_first() {
    let temporary = TempDir::new().unwrap();
    let path = temporary.path().join("given.json");
    let mut told = directory();
    told.learn(&signed(&site_key(1), "home", "node-1", (5, 1)), Source::MessageChannel, now()).unwrap();
    told.bind(&"home".parse().unwrap(), &site_key(1).public()).unwrap();
    told.bind(&"office".parse().unwrap(), &site_key(2).public()).unwrap();
    fs::write(&path, render_peers(&told)).unwrap();
    let mut own = directory();
    own.learn(&signed(&site_key(1), "home", "node-1", (6, 1)), Source::MessageChannel, now()).unwrap();
    own.bind(&"office".parse().unwrap(), &site_key(3).public()).unwrap();
    load_given_peers(&path, &mut own, now());
    let home = own.site_by_name(&"home".parse().unwrap()).unwrap();
    assert!(home.pinned);
    assert_eq!(home.agents.values().next().unwrap().mark(), (6, 1));
    assert_eq!(own.site_by_name(&"office".parse().unwrap()).unwrap().key, site_key(3).public());
}

#[test]
fn a_given_file_that_is_missing_hostile_or_damaged_is_left_alone_and_teaches_nothing() {
    let temporary = TempDir::new().unwrap();
    let path = temporary.path().join("given.json");
    let mut known = directory();
    load_given_peers(&path, &mut known, now());
    let huge = vec![b'9'; SAVED_PEERS_MAX_BYTES + 1];
    let forged = br#"{"version":1,"pins":{"home":"wvp1_nokey"},"statements":["AAAA","%"]}"#;
    for content in [&b""[..], b"\xff\xfe", b"{\"version\":9}", b"[[[[[[[[", forged, &huge] {
        fs::write(&path, content).unwrap();
        load_given_peers(&path, &mut known, now());
        assert_eq!((known.sites().count(), known.pins().count()), (0, 0));
        assert_eq!(fs::read(&path).unwrap(), content);
    }
    load_given_peers(temporary.path(), &mut known, now());
    assert_eq!(known.sites().count(), 0);
}

#[test]
fn api_changes_that_could_not_be_read_again_are_not_saved_over_the_last_ones() {
    let temporary = TempDir::new().unwrap();
    let store = Store::open(&location(&temporary)).unwrap();
    let largest = vec![b' '; API_CHANGES_MAX_BYTES];
    assert!(store.save_api_changes(&largest));
    assert!(!store.save_api_changes(&[&largest[..], b" "].concat()));
    assert_eq!(store.load_api_changes().unwrap().len(), API_CHANGES_MAX_BYTES);
}
