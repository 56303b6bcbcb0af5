//! A site that only discovers.

use std::time::Duration;

use prometheus::Registry;
use tokio::sync::watch;
use wovenet_agent::discovery::{BrokerState, Discovery, DiscoveryMetrics, DiscoverySettings};
use wovenet_agent::peer::{
    Directory, EndpointAddress, KnownSite, Learned, MeshKeyRing, OwnStatement, Peers, SiteKey, Transport,
};
use wovenet_config::agent::MeshKeys;
use wovenet_config::key::MeshKeyText;
use wovenet_config::message_channel::{Broker, Mqtt};
use wovenet_config::peer::Trust;
use wovenet_config::secret::SecretBytes;
use wovenet_config::tunnel::Scope;

const DEADLINE: Duration = Duration::from_secs(15);

pub(crate) struct Site {
    pub(crate) key: SiteKey,
    pub(crate) own: watch::Sender<OwnStatement>,
    pub(crate) keys: watch::Sender<MeshKeyRing>,
    pub(crate) peers: Peers,
    pub(crate) metrics: DiscoveryMetrics,
    pub(crate) discovery: Discovery,
    _network: watch::Sender<u64>,
}

pub(crate) struct Setup {
    pub(crate) brokers: Vec<Broker>,
    pub(crate) topic: Option<String>,
    pub(crate) ring: MeshKeyRing,
    pub(crate) address: Option<&'static str>,
}

impl Setup {
    pub(crate) fn at(brokers: &[Broker]) -> Self {
        Self { brokers: brokers.to_vec(), topic: None, ring: ring(1, None), address: Some("192.0.2.1") }
    }

    pub(crate) fn start(self, name: &str) -> Site {
        self.start_as(name, SiteKey::generate().unwrap())
    }

    pub(crate) fn start_as(self, name: &str, key: SiteKey) -> Site {
        self.start_in(name, key, 1_000)
    }

    /// Starts another process with the same state, at a later time.
    pub(crate) fn start_as_clone(self, name: &str, key: SiteKey) -> Site {
        self.start_in(name, key, 2_000)
    }

    fn start_in(self, name: &str, key: SiteKey, generation: u64) -> Site {
        let own = OwnStatement::new(&key, name.parse().unwrap(), "node-1", generation);
        let own = watch::Sender::new(own.with_endpoints(self.address.map(endpoint).into_iter().collect()));
        let (keys, network) = (watch::Sender::new(self.ring), watch::Sender::new(0));
        let peers = Peers::new(Directory::new(key.site_id(), name.parse().unwrap(), Trust::SharedKey, &[], &[]));
        let metrics = DiscoveryMetrics::new(&Registry::new()).unwrap();
        let discovery = Discovery::start(DiscoverySettings {
            mqtt: Mqtt { brokers: self.brokers, topic: self.topic },
            keys: keys.subscribe(),
            site_key: key.clone(),
            own: own.subscribe(),
            peers: peers.clone(),
            network: network.subscribe(),
            metrics: metrics.clone(),
        });
        Site { key, own, keys, peers, metrics, discovery, _network: network }
    }
}

impl Site {
    pub(crate) async fn finds(&self, name: &str) -> KnownSite {
        self.sees(name, |site| !site.agents.is_empty()).await
    }

    pub(crate) async fn sees(&self, name: &str, wanted: impl Fn(&KnownSite) -> bool) -> KnownSite {
        let name = name.parse().unwrap();
        let mut versions = self.peers.subscribe();
        let found = async {
            loop {
                versions.borrow_and_update();
                let site = self.peers.read(|directory| directory.site_by_name(&name).filter(|s| wanted(s)).cloned());
                match site {
                    Some(site) => return site,
                    None => versions.changed().await.unwrap(),
                }
            }
        };
        tokio::time::timeout(DEADLINE, found).await.unwrap_or_else(|_| panic!("{name} is not found in time"))
    }

    pub(crate) async fn broker(&self, index: usize, wanted: impl Fn(&BrokerState) -> bool) -> BrokerState {
        let mut state = self.discovery.brokers()[index].clone();
        let found = tokio::time::timeout(DEADLINE, state.wait_for(|state| wanted(state))).await;
        found.expect("the broker's state in time").unwrap().clone()
    }

    pub(crate) async fn connected(&self) {
        self.broker(0, |state| state.connected).await;
    }

    pub(crate) fn announcement_topic(&self) -> String {
        let suffix = self.keys.borrow().keys()[0].topic_suffix().to_owned();
        format!("wovenet/{suffix}/v1/{}/{}/ann", self.key.site_id(), self.key.agent_id("node-1"))
    }

    pub(crate) fn hello_topic(&self) -> String {
        format!("wovenet/{}/v1/all", self.keys.borrow().keys()[0].topic_suffix())
    }

    pub(crate) fn moves_to(&self, address: &str) {
        self.own.send_modify(|own| *own = own.with_endpoints(vec![endpoint(address)]));
    }
}

pub(crate) fn ring(primary: u8, secondary: Option<u8>) -> MeshKeyRing {
    let text = |byte| MeshKeyText::Generated(SecretBytes::new(zeroize::Zeroizing::new([byte; 32])));
    MeshKeyRing::derive(&MeshKeys { primary: text(primary), secondary: secondary.map(text) }, None).unwrap()
}

pub(crate) fn endpoint(address: &str) -> EndpointAddress {
    EndpointAddress {
        transport: Transport::Quic,
        address: address.parse().unwrap(),
        port: 51820,
        scope: Scope::Agent,
        learned: Learned::Configured,
        priority: 0,
    }
}
