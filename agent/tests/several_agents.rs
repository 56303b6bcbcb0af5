//! Several agents of one site, as on the nodes of a cluster.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use support::{Agent, Options};
use tokio::net::UdpSocket;
use wovenet_agent::peer::statement::{PROTOCOL_VERSION, TTL_SECONDS};
use wovenet_agent::peer::{EndpointAddress, Learned, SignedStatement, SiteKey, Source, Statement, Transport};
use wovenet_agent::tunnel::StreamOpener;
use wovenet_agent::tunnel::status::SiteStatus;
use wovenet_config::tunnel::Scope;

const HOSTS: [&str; 3] = ["node-1", "node-2", "node-3"];

fn start_three(name: &'static str, key: &SiteKey, listens: bool) -> Vec<Agent> {
    let options = |host| Options { key: key.clone(), host, listens, ..Options::new(name) };
    HOSTS.into_iter().map(|host| Agent::start(options(host))).collect()
}

/// Tells `agent` where each of `others` listens, as their announcements would.
async fn announce(others: &[Agent], agent: &Agent) {
    for (other, host) in others.iter().zip(HOSTS) {
        announce_at(other, host, other.address().await, agent);
    }
}

fn announce_at(other: &Agent, host: &str, address: SocketAddr, agent: &Agent) {
    let statement = Statement {
        site: other.key.site_id(),
        name: other.name.clone(),
        agent: other.key.agent_id(host),
        host: host.into(),
        generation: 1,
        sequence: 1,
        ttl: TTL_SECONDS,
        endpoints: vec![EndpointAddress {
            transport: Transport::Quic,
            address: address.ip(),
            port: address.port(),
            scope: Scope::Agent,
            learned: Learned::Interface,
            priority: 0,
        }],
        versions: vec![PROTOCOL_VERSION],
        delegations: vec![],
        in_reply_to: None,
    };
    let signed = SignedStatement::sign(&other.key, statement).unwrap();
    agent.peers.learn(&signed, Source::MessageChannel).unwrap();
}

fn agents(site: &SiteStatus) -> BTreeSet<String> {
    site.channels.iter().map(|channel| channel.agent.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_agent_keeps_its_channels_to_distinct_agents_of_a_site() {
    let cluster = start_three("cluster", &SiteKey::generate().unwrap(), true);
    let home = Agent::start(Options { listens: false, ..Options::new("home") });
    announce(&cluster, &home).await;
    home.site("cluster", |site| site.channels.len() == 2 && agents(site).len() == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_one_agent_answers_at_the_address_of_two_its_channels_stay() {
    let key = SiteKey::generate().unwrap();
    let cluster = start_three("cluster", &key, true);
    let home = Agent::start(Options { listens: false, ..Options::new("home") });
    let forwarded = cluster[0].address().await;
    announce_at(&cluster[0], HOSTS[0], forwarded, &home);
    announce_at(&cluster[1], HOSTS[1], forwarded, &home);
    let ids = |site: &SiteStatus| site.channels.iter().map(|channel| channel.id).collect::<BTreeSet<_>>();
    let first = ids(&home.connected("cluster", 2).await);
    let made = || home.metric("wovenet_agent_tunnel_connects_total", &[("role", "dialler"), ("result", "ok")]);
    // The address is tried again for the other agent, but not for ever.
    home.site("cluster", |site| made() == 6.0 && ids(site) == first).await;
    // Each takes a round trip at least, in which a needless channel could be made.
    for _ in 0..200 {
        let mut opened = home.handle.open("cluster".parse().unwrap()).await.unwrap();
        opened.send.write_chunk(bytes::Bytes::from_static(b"x")).await.unwrap();
        assert_eq!(opened.recv.read_chunk(16).await.unwrap().unwrap(), "x");
    }
    assert_eq!(made(), 6.0);
}

/// Forwards datagrams as a load balancer does: each client to one of `agents`, the first clients all to the first.
async fn balancer(agents: [SocketAddr; 2], to_the_first: usize) -> SocketAddr {
    let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut clients: BTreeMap<SocketAddr, Arc<UdpSocket>> = BTreeMap::new();
        let mut datagram = vec![0; 65_536];
        loop {
            let (bytes, client) = socket.recv_from(&mut datagram).await.unwrap();
            if !clients.contains_key(&client) {
                let onward = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
                onward.connect(agents[usize::from(clients.len() >= to_the_first)]).await.unwrap();
                clients.insert(client, onward.clone());
                let back = socket.clone();
                tokio::spawn(async move {
                    let mut datagram = vec![0; 65_536];
                    while let Ok(bytes) = onward.recv(&mut datagram).await {
                        back.send_to(&datagram[..bytes], client).await.ok();
                    }
                });
            }
            clients[&client].send(&datagram[..bytes]).await.ok();
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_that_a_load_balancer_led_to_one_agent_are_spread_over_all() {
    let cluster = start_three("cluster", &SiteKey::generate().unwrap(), true);
    let home = Agent::start(Options { listens: false, ..Options::new("home") });
    let shared = balancer([cluster[0].address().await, cluster[1].address().await], 2).await;
    announce_at(&cluster[0], HOSTS[0], shared, &home);
    announce_at(&cluster[1], HOSTS[1], shared, &home);
    home.site("cluster", |site| site.channels.len() == 2 && agents(site).len() == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_agents_to_three_agents_cost_two_channels_each_and_not_nine() {
    let cluster = start_three("cluster", &SiteKey::generate().unwrap(), true);
    let home = start_three("home", &SiteKey::generate().unwrap(), false);
    for agent in &home {
        announce(&cluster, agent).await;
    }
    // Channels move while agents are heard of one by one; in the end both sides count the same six.
    let spread = |site: &SiteStatus| site.channels.len() == 2 && agents(site).len() == 2;
    let channels = |agents: &[Agent]| -> usize {
        agents.iter().flat_map(|agent| agent.handle.sites()).map(|site| site.channels.len()).sum()
    };
    let settled = |site: &SiteStatus| {
        let sites = || home.iter().flat_map(|agent| agent.handle.sites());
        spread(site) && sites().all(|site| spread(&site)) && channels(&home) == 6 && channels(&cluster) == 6
    };
    home[0].site("cluster", settled).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_one_agent_of_a_site_goes_away_another_takes_its_channels() {
    let mut cluster = start_three("cluster", &SiteKey::generate().unwrap(), true);
    let home = Agent::start(Options { listens: false, ..Options::new("home") });
    announce(&cluster, &home).await;
    let before = agents(&home.connected("cluster", 2).await);
    let leaving = HOSTS.iter().position(|host| before.contains(cluster[0].key.agent_id(host).as_str())).unwrap();
    let gone = cluster[0].key.agent_id(HOSTS[leaving]).to_string();
    cluster.remove(leaving).tunnels.shutdown(std::time::Duration::ZERO).await;
    let replaced = |site: &SiteStatus| {
        site.channels.len() == 2 && !agents(site).contains(&gone) && site.channels.iter().all(|c| c.state == "good")
    };
    home.site("cluster", replaced).await;
}
