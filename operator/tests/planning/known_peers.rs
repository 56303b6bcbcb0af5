//! What agents know of other sites outlives their pods.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use wovenet_config::key::PublicKey;
use wovenet_config::name::SiteName;
use wovenet_config::tunnel::Scope;
use wovenet_identity::saved_peers::SAVED_PEERS_MAX_BYTES;
use wovenet_identity::statement::{EndpointAddress, Learned, TTL_SECONDS, Transport};
use wovenet_identity::{SavedPeers, SignedStatement, SiteKey, Statement};
use wovenet_operator::known_peers::{BYTES_MAX, KnownPeers, PINS_MAX};
use wovenet_operator::names;

use crate::scene::{SITE, Scene};

/// Another site, as agents tell of it.
struct Other {
    name: String,
    key: SiteKey,
}

impl Other {
    fn new(name: &str, number: u16) -> Self {
        let mut seed = [9; 32];
        seed[..2].copy_from_slice(&number.to_be_bytes());
        Self { name: name.to_owned(), key: SiteKey::from_seed(&seed).unwrap() }
    }

    fn pin(&self) -> (SiteName, PublicKey) {
        (self.name.parse().unwrap(), self.key.public())
    }

    /// What its agent on `node` states, with `port` to tell contents apart.
    fn states(&self, node: &str, mark: (u64, u64), port: u16) -> Vec<u8> {
        let endpoint = EndpointAddress {
            transport: Transport::Quic,
            address: "192.0.2.1".parse().unwrap(),
            port,
            scope: Scope::Agent,
            learned: Learned::Configured,
            priority: 0,
        };
        let statement = Statement {
            site: self.key.site_id(),
            name: self.name.parse().unwrap(),
            agent: self.key.agent_id(node),
            host: node.to_owned(),
            generation: mark.0,
            sequence: mark.1,
            ttl: TTL_SECONDS,
            endpoints: vec![endpoint],
            versions: vec![1],
            delegations: vec![],
            in_reply_to: None,
        };
        SignedStatement::sign(&self.key, statement).unwrap().to_bytes()
    }
}

fn told(pins: &[(SiteName, PublicKey)], statements: &[Vec<u8>]) -> Vec<u8> {
    let pins: BTreeMap<_, _> = pins.iter().cloned().collect();
    SavedPeers::render(pins.iter(), statements.iter().map(Vec::as_slice), SAVED_PEERS_MAX_BYTES)
}

impl Scene {
    fn agent_tells(&mut self, node: &str, told: &[u8]) {
        if !self.known.heard.contains_key(&format!("{node}-uid")) {
            self.agent(node, "10.0.0.1", Some("{revision: 1, ready: true}"), 0);
        }
        let heard = self.known.heard.get_mut(&format!("{node}-uid")).unwrap();
        heard.peers = Some(Arc::new(KnownPeers::parse(told).unwrap()));
    }

    /// The Secret that is to be written, if any.
    fn wanted(&self) -> Option<Secret> {
        self.look(|_, plans| plans[0].peers_secret(&self.known))
    }

    /// Writes what is wanted, and returns it as agents would read it.
    fn written(&mut self) -> SavedPeers {
        let secret = self.wanted().expect("a write");
        let bytes = secret.data.as_ref().unwrap()[names::PEERS_FIELD].0.clone();
        self.known.secrets.insert(secret.name_any(), Arc::new(secret));
        assert!(self.wanted().is_none(), "at rest nothing is written");
        SavedPeers::parse(&bytes).unwrap()
    }
}

/// Node, generation and sequence of every statement.
fn marks(saved: &SavedPeers) -> Vec<(String, u64, u64)> {
    let mark = |signed: SignedStatement| {
        let statement = signed.statement();
        (statement.host.clone(), statement.generation, statement.sequence)
    };
    let mut marks: Vec<_> = saved.statements().map(Option::unwrap).map(mark).collect();
    marks.sort();
    marks
}

#[test]
fn what_all_agents_know_is_put_together_and_the_newest_statement_of_each_agent_counts() {
    let (office, lab) = (Other::new("office", 1), Other::new("lab", 2));
    let mut scene = Scene::with_site("");
    assert!(scene.wanted().is_none(), "there is nothing to write yet");
    scene.agent_tells("one", &told(&[office.pin()], &[office.states("a", (5, 2), 1), office.states("b", (1, 1), 1)]));
    scene.agent_tells("two", &told(&[lab.pin()], &[office.states("a", (6, 1), 2), lab.states("c", (3, 3), 1)]));
    let saved = scene.written();
    assert_eq!(saved.pins().count(), 2);
    assert_eq!(marks(&saved), [("a".into(), 6, 1), ("b".into(), 1, 1), ("c".into(), 3, 3)]);
}

#[test]
fn a_statement_that_says_nothing_new_is_not_written_and_a_new_start_or_address_is() {
    let office = Other::new("office", 1);
    let mut scene = Scene::with_site("");
    scene.agent_tells("one", &told(&[], &[office.states("a", (5, 1), 1)]));
    scene.written();
    scene.agent_tells("one", &told(&[], &[office.states("a", (5, 9), 1)]));
    assert!(scene.wanted().is_none());
    scene.agent_tells("one", &told(&[], &[office.states("a", (5, 10), 2)]));
    assert_eq!(marks(&scene.written()), [("a".into(), 5, 10)]);
    scene.agent_tells("one", &told(&[], &[office.states("a", (7, 1), 2)]));
    assert_eq!(marks(&scene.written()), [("a".into(), 7, 1)]);
    scene.agent_tells("one", &told(&[], &[office.states("a", (6, 1), 3)]));
    assert!(scene.wanted().is_none(), "what is older replaces nothing");
}

#[test]
fn new_agents_that_know_nothing_drop_nothing_and_what_leaves_a_known_site_is_dropped_once_all_have_told() {
    let office = Other::new("office", 1);
    let mut scene = Scene::with_site("");
    scene.agent_tells("one", &told(&[office.pin()], &[office.states("a", (1, 1), 1), office.states("b", (1, 1), 1)]));
    scene.written();
    scene.agent_tells("one", &told(&[], &[]));
    assert!(scene.wanted().is_none());
    scene.agent("two", "10.0.0.2", Some("{revision: 1, ready: true}"), 0);
    scene.agent_tells("one", &told(&[], &[office.states("a", (1, 1), 1)]));
    assert!(scene.wanted().is_none(), "agent two may know more");
    scene.agent_tells("two", &told(&[], &[]));
    let saved = scene.written();
    assert_eq!((marks(&saved), saved.pins().count()), (vec![("a".into(), 1, 1)], 1));
}

#[test]
fn a_bound_name_stays_with_its_key_until_agents_agree_on_another_and_the_site_itself_comes_first() {
    let (old, new) = (Other::new("office", 1), Other::new("office", 2));
    let key = |saved: &SavedPeers| saved.pins().map(|(_, key)| key).collect::<Vec<_>>();
    let mut scene = Scene::with_site("");
    scene.agent_tells("one", &told(&[old.pin()], &[]));
    assert_eq!(key(&scene.written()), [old.key.public()]);
    scene.agent_tells("two", &told(&[new.pin()], &[]));
    assert!(scene.wanted().is_none());
    scene.agent_tells("one", &told(&[new.pin()], &[]));
    assert_eq!(key(&scene.written()), [new.key.public()]);
    let renamed = Other { name: "branch".to_owned(), key: new.key.clone() };
    scene.agent_tells("one", &told(&[renamed.pin()], &[]));
    assert!(scene.wanted().is_none(), "agent two still knows it by its old name");
    scene.agent_tells("two", &told(&[renamed.pin()], &[]));
    assert_eq!(scene.written().pins().next().unwrap().0.as_str(), "branch");
    for site in [
        format!("peers: [{{siteName: branch, publicKey: {}}}]", old.key.public()),
        format!("deniedKeys: [{}]", new.key.public()),
    ] {
        let mut scene = Scene::of(&SITE.replace("spec:\n", &format!("spec:\n  {site}\n")));
        scene.agent_tells("one", &told(&[renamed.pin()], &[]));
        assert!(scene.wanted().is_none(), "{site}");
    }
}

#[test]
fn the_secret_is_bounded_and_over_its_bounds_what_was_there_stays() {
    let mut scene = Scene::with_site("");
    let others: Vec<Other> =
        (1..=600).map(|number| Other::new(&format!("{}{number}", "x".repeat(200)), number)).collect();
    let tell = |others: &[Other]| {
        let pins: Vec<_> = others.iter().map(Other::pin).collect();
        told(&pins, &others.iter().take(256).map(|other| other.states("a", (1, 1), 1)).collect::<Vec<_>>())
    };
    scene.agent_tells("one", &tell(&others[300..]));
    let first = scene.written();
    scene.agent_tells("two", &tell(&others[..300]));
    assert!(scene.wanted().is_none(), "what is known first is not pushed out");
    let bytes = scene.known.secret_field("home-peers", names::PEERS_FIELD).unwrap();
    assert!(bytes.len() <= BYTES_MAX, "{}", bytes.len());
    assert_eq!(first.pins().count(), PINS_MAX);
    assert!(first.statements().count() > 100);
}

#[test]
fn a_damaged_secret_is_written_anew_and_a_forged_statement_in_it_counts_for_nothing() {
    let office = Other::new("office", 1);
    let mut forged = office.states("a", (u64::MAX, 1), 1);
    *forged.last_mut().unwrap() ^= 1;
    let forged = String::from_utf8(told(&[], &[forged])).unwrap();
    for content in ["", "{\"version\":9}", "[[[[", forged.as_str()] {
        let mut scene = Scene::with_site("");
        scene.secret("home-peers", &[(names::PEERS_FIELD, content)]);
        scene.agent_tells("one", &told(&[], &[office.states("a", (5, 1), 1)]));
        assert_eq!(marks(&scene.written()), [("a".into(), 5, 1)]);
    }
}

#[test]
fn the_secret_outlives_its_site_and_is_mounted_read_only_in_every_agent() {
    let office = Other::new("office", 1);
    let mut scene = Scene::with_site("");
    scene.agent_tells("one", &told(&[office.pin()], &[]));
    let secret = scene.wanted().unwrap();
    assert_eq!(secret.name_any(), "home-peers");
    assert!(secret.metadata.owner_references.is_none() && !names::is_ours(&secret.metadata), "nothing removes it");
    assert_eq!(secret.labels()[names::SITE_LABEL], "home");
    let pod = scene.objects().daemon_sets.pop().unwrap().spec.unwrap().template.spec.unwrap();
    let volume = pod.volumes.unwrap().into_iter().find(|volume| volume.name == "peers").unwrap().secret.unwrap();
    assert_eq!((volume.secret_name.as_deref(), volume.optional), (Some("home-peers"), Some(true)));
    let mount = pod.containers[0].volume_mounts.iter().flatten().find(|mount| mount.name == "peers").unwrap();
    assert_eq!(mount.read_only, Some(true));
    let file = scene.document().peers_file.unwrap();
    assert_eq!(file, format!("{}/{}", mount.mount_path, names::PEERS_FIELD));
}

#[test]
fn the_annotation_gives_up_the_key_that_a_name_has_and_not_the_next_one() {
    let (old, new) = (Other::new("office", 1), Other::new("office", 2));
    let mut scene = Scene::with_site("");
    scene.agent_tells("one", &told(&[old.pin()], &[]));
    scene.written();
    scene.known.sites.clear();
    scene.add(&SITE.replace("uid: site-uid", "uid: site-uid, annotations: {wovenet.io/unpin: 'office, nobody, '}"));
    let configured = |scene: &mut Scene| {
        let configuration = scene.look(|_, plans| plans[0].configuration.clone().unwrap());
        scene.memory.configurations.insert("home".into(), configuration.clone());
        let pins = configuration.document.unpin.into_iter();
        pins.map(|pin| (pin.site_name.unwrap(), pin.public_key.unwrap())).collect::<Vec<_>>()
    };
    let given_up = vec![("office".to_owned(), old.key.public().to_string())];
    assert_eq!(configured(&mut scene), given_up);
    assert_eq!(scene.written().pins().count(), 0, "though the agent has not heard of it yet");
    scene.agent_tells("one", &told(&[new.pin()], &[]));
    assert_eq!(scene.written().pins().next().unwrap().1, new.key.public());
    assert_eq!(configured(&mut scene), given_up);
    scene.known.sites.clear();
    scene.add(SITE);
    assert_eq!(configured(&mut scene), []);
    assert!(scene.wanted().is_none(), "the next key stays bound");
}
