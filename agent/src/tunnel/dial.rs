//! Keeps channels to every known site: one task a site, which dials only what is lacking.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use wovenet_config::key::SiteId;
use wovenet_config::peer::HostPort;
use wovenet_config::tunnel::Scope;

use crate::backoff::{Backoff, BackoffLimits};
use crate::peer::directory::KnownSite;
use crate::peer::{AgentId, Transport};
use crate::tunnel::channel::{Channel, Direction, Health};
use crate::tunnel::dial_pool::DialPool;
use crate::tunnel::plan::{Candidate, Dial, Used, plan, spread};
use crate::tunnel::race::Race;
use crate::tunnel::shard::Shards;
use crate::tunnel::shared::Shared;

/// A channel that lived this long proves that dialling works, and the waits begin anew.
const PROVEN_AFTER: Duration = Duration::from_secs(10);
/// How long a name may take to resolve.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);
/// The most addresses that are used of one name.
const RESOLVED_MAX: usize = 16;

/// How often an address that several agents share is tried for one without a channel, since agents last changed: of two
/// behind a load balancer that chooses by chance, the other one answers with 94 in 100.
const SHARED_TRIES_MAX: u8 = 4;

/// Why no channel to a site could be made, for status: the last error of each site, until a channel is up.
pub(super) type DialErrors = Arc<Mutex<BTreeMap<SiteId, String>>>;

/// Starts and stops the dialling task of each site.
#[derive(Clone)]
pub(super) struct Diallers {
    pub(super) shared: Arc<Shared>,
    pub(super) pool: Arc<DialPool>,
    pub(super) shards: Shards,
    pub(super) network: watch::Receiver<u64>,
    pub(super) errors: DialErrors,
}

impl Diallers {
    /// Runs until cancelled. A site that is no longer known is no longer dialled.
    pub(super) async fn run(self) {
        let mut peers = self.shared.peers.subscribe();
        let mut running: BTreeMap<SiteId, CancellationToken> = BTreeMap::new();
        let mut tasks = JoinSet::new();
        loop {
            peers.mark_unchanged();
            let known = self.dialled_sites();
            running.retain(|site, stop| known.contains(site) || self.stop(*site, stop));
            for site in known {
                running.entry(site).or_insert_with(|| self.start(site, &mut tasks));
            }
            tokio::select! {
                () = self.shared.cancel.cancelled() => break,
                changed = peers.changed() => if changed.is_err() { break },
                Some(ended) = tasks.join_next() => if ended.is_err() {
                    // A panic was told by the hook; everything is started again.
                    running.values().for_each(CancellationToken::cancel);
                    running.clear();
                },
            }
        }
        tasks.shutdown().await;
    }

    /// A site without addresses is dialled by its own agents only.
    fn dialled_sites(&self) -> Vec<SiteId> {
        let dialled = |site: &&KnownSite| {
            site.conflict.is_none()
                && site.has_common_version()
                && (!site.static_addresses.is_empty() || site.agents.values().any(|agent| !agent.endpoints.is_empty()))
        };
        self.shared.peers.read(|directory| directory.sites().filter(dialled).map(|site| site.id).collect())
    }

    fn start(&self, site: SiteId, tasks: &mut JoinSet<()>) -> CancellationToken {
        let stop = self.shared.cancel.child_token();
        let dialler = SiteDialler {
            diallers: self.clone(),
            site,
            backoff: Backoff::new(BackoffLimits::DIAL),
            last_up: None,
            shared: Default::default(),
            resolved: BTreeMap::new(),
        };
        let stopped = stop.clone();
        tasks.spawn(async move {
            stopped.run_until_cancelled_owned(dialler.run()).await;
        });
        stop
    }

    fn stop(&self, site: SiteId, stop: &CancellationToken) -> bool {
        stop.cancel();
        self.errors.lock().remove(&site);
        false
    }
}

struct SiteDialler {
    diallers: Diallers,
    site: SiteId,
    backoff: Backoff,
    last_up: Option<Instant>,
    /// The site's agents and their starts, and how often an address that they share may still be tried for one without a
    /// channel.
    shared: (BTreeMap<AgentId, u64>, u8),
    resolved: BTreeMap<HostPort, Vec<SocketAddr>>,
}

impl SiteDialler {
    async fn run(mut self) {
        let shared = self.diallers.shared.clone();
        let (mut registry, mut peers) = (shared.registry.subscribe(), shared.peers.subscribe());
        let mut wanted = shared.channels_per_site.clone();
        loop {
            registry.mark_unchanged();
            peers.mark_unchanged();
            let Some(site) = self.known() else { return };
            let want = *wanted.borrow_and_update();
            if self.live().len() < want || self.lacks_family(&site) {
                self.pause_after_short_life(&site).await;
                if self.dial_round(&site, want).await {
                    continue;
                }
                self.wait(&site).await;
                continue;
            }
            if !self.spread(&site).await {
                self.wait(&site).await;
                continue;
            }
            tokio::select! {
                Ok(()) = registry.changed() => {}
                Ok(()) = peers.changed() => {}
                Ok(()) = wanted.changed() => {}
            }
        }
    }

    fn known(&self) -> Option<KnownSite> {
        let peers = &self.diallers.shared.peers;
        peers.read(|directory| directory.sites().find(|site| site.id == self.site).cloned())
    }

    /// Returns the channels that count: neither draining nor suspect, whoever dialled.
    fn live(&self) -> Vec<Used> {
        let channels = self.diallers.shared.registry.channels(&self.site);
        channels.iter().filter(|channel| counts(channel)).map(|channel| used(channel)).collect()
    }

    /// Returns the channels that do not count but go on: their streams must not lose their slot to a new channel.
    fn leaving(&self) -> Vec<Used> {
        let channels = self.diallers.shared.registry.channels(&self.site);
        channels.iter().filter(|channel| !counts(channel)).map(|channel| used(channel)).collect()
    }

    /// Tells whether the site can be dialled over an address family that no live channel uses.
    fn lacks_family(&self, site: &KnownSite) -> bool {
        let live = self.live();
        let lacks = |ipv6: bool| live.iter().all(|used| used.ipv6 != ipv6);
        self.stated(site).iter().any(|candidate| lacks(candidate.address.is_ipv6()))
    }

    /// Waits when the last channel ended soon after it came up; otherwise dialling is proven, and waits begin anew.
    async fn pause_after_short_life(&mut self, site: &KnownSite) {
        match self.last_up {
            Some(up) if up.elapsed() < PROVEN_AFTER => self.wait(site).await,
            Some(_) => self.backoff.reset(),
            None => {}
        }
    }

    /// Makes what is lacking, and tells whether something was lacking and all of it came up.
    async fn dial_round(&mut self, site: &KnownSite, want: usize) -> bool {
        let candidates = self.candidates(site).await;
        let dials = plan(&self.diallers.shared.agent, &candidates, &self.live(), &self.leaving(), want);
        if dials.is_empty() {
            return false;
        }
        let outcomes = join_all(dials.into_iter().map(|dial| self.dial(site, dial))).await;
        let mut errors: Vec<String> = Vec::new();
        for outcome in outcomes {
            match outcome {
                Ok(_) => self.last_up = Some(Instant::now()),
                Err(error) => errors.push(error),
            }
        }
        self.note(site, &errors);
        errors.is_empty()
    }

    /// Moves a channel to an agent that has none while another has two: the new one first, then the old one drains. Tells
    /// whether nothing is left to move. Should an agent answer that has a channel already, the new one drains.
    async fn spread(&mut self, site: &KnownSite) -> bool {
        let candidates = self.candidates(site).await;
        let live = self.live();
        let shared = self.may_try_shared(site, &live);
        let Some(dial) = spread(&self.diallers.shared.agent, &candidates, &live, shared) else { return true };
        if dial.candidates.iter().all(|candidate| candidate.agent.is_none()) {
            self.shared.1 = self.shared.1.saturating_sub(1);
        }
        let Ok(new) = self.dial(site, dial).await else { return false };
        if live.iter().any(|used| used.agent.as_ref() == Some(&new.peer().agent)) {
            new.drain();
            return false;
        }
        let channels = self.diallers.shared.registry.channels(&self.site);
        let shares_agent = |channel: &&Arc<Channel>| {
            channels.iter().filter(|other| counts(other) && other.peer().agent == channel.peer().agent).count() > 1
        };
        let surplus =
            channels.iter().rev().filter(|channel| channel.direction() == Direction::Dialled).find(shares_agent);
        surplus.inspect(|channel| channel.drain());
        true
    }

    /// Whether an agent without a channel may answer at an address that agents share, and it was not tried too often since
    /// agents last came, went or began anew.
    fn may_try_shared(&mut self, site: &KnownSite, live: &[Used]) -> bool {
        let agents: BTreeMap<_, _> = site.agents.iter().map(|(id, agent)| (id.clone(), agent.generation)).collect();
        if self.shared.0 != agents {
            self.shared = (agents, SHARED_TRIES_MAX);
        }
        let has_channel = |agent: &AgentId| live.iter().any(|used| used.agent.as_ref() == Some(agent));
        self.shared.1 > 0 && site.agents.keys().any(|agent| !has_channel(agent))
    }

    /// Makes one channel on the next shard. The channel lives on in a task of its own.
    fn dial(&self, site: &KnownSite, dial: Dial) -> impl Future<Output = Result<Arc<Channel>, String>> + use<> {
        let Diallers { shared, pool, shards, .. } = &self.diallers;
        let shard = shards.next();
        let race = Race { shared: shared.clone(), pool: pool.clone(), key: site.key, dial, shard: shard.clone() };
        let (tell, told) = oneshot::channel();
        shared.tasks.spawn_on(race.run(tell), &shard.runtime);
        async { told.await.unwrap_or(Err("the agent is shutting down".to_owned())) }
    }

    fn note(&self, site: &KnownSite, errors: &[String]) {
        let mut all = self.diallers.errors.lock();
        let Some(error) = errors.first() else {
            all.remove(&self.site);
            return;
        };
        let known = all.insert(self.site, error.clone());
        if known.is_none() && self.live().is_empty() {
            tracing::warn!(site = %site.name, peer = %site.id, error, "cannot dial the site; trying again");
        }
    }

    /// Returns the addresses that the site states of itself, but for those that led back here.
    fn stated(&self, site: &KnownSite) -> Vec<Candidate> {
        let agents = site.agents.iter().filter(|(_, agent)| agent.has_common_version());
        let stated = agents.flat_map(|(id, agent)| {
            let quic = agent.endpoints.iter().filter(|endpoint| endpoint.transport == Transport::Quic);
            quic.map(|endpoint| Candidate {
                agent: (endpoint.scope == Scope::Agent).then(|| id.clone()),
                address: endpoint.socket_address(),
                scope: endpoint.scope,
                priority: endpoint.priority,
            })
        });
        self.without_reflections(stated.collect())
    }

    fn without_reflections(&self, mut candidates: Vec<Candidate>) -> Vec<Candidate> {
        let (reflections, now) = (self.diallers.shared.reflections.lock(), Instant::now());
        candidates.retain(|candidate| !reflections.contains(&candidate.address, now));
        candidates
    }

    /// Returns every address of the site to dial.
    async fn candidates(&mut self, site: &KnownSite) -> Vec<Candidate> {
        let mut candidates = self.stated(site);
        for address in self.resolve(&site.static_addresses).await {
            if !candidates.iter().any(|candidate| candidate.address == address) {
                candidates.push(Candidate { agent: None, address, scope: Scope::Agent, priority: 0 });
            }
        }
        self.without_reflections(candidates)
    }

    /// Resolves configured names; the last answer is used while resolution fails.
    async fn resolve(&mut self, names: &[HostPort]) -> Vec<SocketAddr> {
        for name in names {
            let lookup = tokio::net::lookup_host((name.host.as_str(), name.port));
            let error = match timeout(RESOLVE_TIMEOUT, lookup).await {
                Ok(Ok(addresses)) => {
                    self.resolved.insert(name.clone(), addresses.take(RESOLVED_MAX).map(canonical).collect());
                    continue;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => "timed out".to_owned(),
            };
            tracing::warn!(peer = %self.site, host = name.host, error, "cannot resolve the address of a peer");
        }
        names.iter().filter_map(|name| self.resolved.get(name)).flatten().copied().collect()
    }

    /// Waits for the back-off to pass, or for news that make another try worth while: other addresses of the site, a
    /// changed network, a channel that the far side dialled.
    async fn wait(&mut self, site: &KnownSite) {
        let shared = self.diallers.shared.clone();
        let (mut registry, mut peers) = (shared.registry.subscribe(), shared.peers.subscribe());
        let live = self.live().len();
        let pause = tokio::time::sleep(self.backoff.failed(Instant::now()));
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => return,
                Ok(()) = self.diallers.network.changed() => {
                    self.backoff.reset();
                    return;
                }
                Ok(()) = registry.changed() => if self.live().len() > live { return },
                Ok(()) = peers.changed() => if self.known().is_none_or(|now| addresses_differ(&now, site)) {
                    self.backoff.reset();
                    return;
                },
            }
        }
    }
}

fn addresses_differ(now: &KnownSite, before: &KnownSite) -> bool {
    let starts = |site: &KnownSite| -> Vec<_> {
        site.agents.iter().map(|(id, agent)| (id.clone(), agent.generation, agent.endpoints.clone())).collect()
    };
    now.static_addresses != before.static_addresses || starts(now) != starts(before)
}

fn counts(channel: &Channel) -> bool {
    !channel.is_draining() && !channel.is_closed() && channel.health() < Health::Suspect
}

fn used(channel: &Channel) -> Used {
    Used {
        agent: Some(channel.peer().agent.clone()),
        address: channel.remote_address(),
        ipv6: channel.slot().ipv6,
        ordinal: channel.slot().ordinal,
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
