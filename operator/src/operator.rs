//! The loop: whenever something changed, look at everything and make it as it must be.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::events::{Recorder, Reporter as EventReporter};
use kube::{Client, ResourceExt};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use wovenet_identity::SiteKey;

use crate::agent_report::SILENT_AFTER;
use crate::apply::Writer;
use crate::cli::RunArguments;
use crate::client::client;
use crate::collect::{Snapshot, Surroundings};
use crate::configuration::Configuration;
use crate::health::{self, Health};
use crate::judge::{Judged, judge};
use crate::keys;
use crate::leader::{self, Term};
use crate::measure;
use crate::metrics::Metrics;
use crate::names;
use crate::plan::{Memory, Objects, SitePlan, plan_all};
use crate::ports::Key;
use crate::push::{Agent, Agents};
use crate::render::remote_app::address;
use crate::report_status::Reporter;
use crate::status;
use crate::watch::Stores;

/// Changes that come together are looked at together.
const SETTLE: Duration = Duration::from_millis(100);
/// Silent agents and paused objects are looked at this often, even when nothing changes.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A listener port that was given back is not given to another app for so long: a stale kube-proxy still sends there.
const PORT_RESTS: Duration = Duration::from_secs(300);
/// How often a Site's revision is raised only because agents tell a higher one: an agent that lies makes no more work.
const RAISE_REST: Duration = Duration::from_secs(60);
/// What agents know of other sites is looked at, and written when it changed, no more often than this for each Site.
const PEERS_REST: Duration = Duration::from_secs(10);

/// Runs the operator until `stop` ends.
///
/// # Errors
/// What keeps it from going on; the process is to end then.
pub async fn run(arguments: RunArguments, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let metrics = Metrics::register()?;
    count_panics(&metrics);
    run_with(client().await?, arguments, metrics, stop).await
}

/// Runs the operator on the cluster of `client` until `stop` ends.
///
/// # Errors
/// As [`run`].
pub async fn run_with(
    client: Client,
    arguments: RunArguments,
    metrics: Metrics,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let health = Health { metrics: metrics.clone(), ready: Arc::default() };
    let (changes, changed) = watch::channel(0u64);
    let mut tasks = JoinSet::new();
    let stores = crate::watch::start(&client, &arguments.namespace, &changes, &metrics, &mut tasks);
    let (address, served) = (arguments.metrics_addr, health.clone());
    let serving = tokio::spawn(async move { health::serve(address, served).await });
    let work = async {
        stores.ready().await;
        health.ready.store(true, Ordering::Relaxed);
        tracing::info!("every kind is watched");
        lead(client, &arguments, stores, (changes, changed), metrics, stop).await
    };
    tokio::select! {
        result = work => result,
        served = serving => Err(anyhow::anyhow!("health and metrics cannot be served on {address}: {}", match served {
            Ok(Err(error)) => error.to_string(),
            Ok(Ok(())) => "it ended".to_owned(),
            Err(error) => error.to_string(),
        })),
        Some(ended) = tasks.join_next() => Err(anyhow::anyhow!("a watch ended: {ended:?}")),
    }
}

/// Counts and logs panics. A watch or the election that ends by one ends the operator, and its successor begins anew; what one
/// task wrote is written again, and agents are followed anew.
fn count_panics(metrics: &Metrics) {
    let panics = metrics.panics.clone();
    std::panic::set_hook(Box::new(move |panic| {
        panics.inc();
        tracing::error!(panic = %panic, "a task panicked: please report this");
    }));
}

/// Waits for the Lease, works until it is lost, and waits again.
async fn lead(
    client: Client,
    arguments: &RunArguments,
    stores: Stores,
    changes: (watch::Sender<u64>, watch::Receiver<u64>),
    metrics: Metrics,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let mut stop = std::pin::pin!(stop);
    let stores = Arc::new(stores);
    let mut election = leader::take_part(client.clone(), &arguments.namespace, &arguments.name);
    let term = election.term.clone();
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            () = term.begins() => {}
            error = election.failed() => return Err(error),
        }
        metrics.leader.set(1);
        tracing::info!(replica = arguments.name, "this replica leads");
        let (client, of_operator) = (client.clone(), term.clone());
        let leading = async {
            let operator =
                Operator::begin(client, arguments, stores.clone(), &changes.0, &metrics, of_operator).await?;
            operator.work(changes.1.clone()).await
        };
        tokio::select! {
            biased;
            () = &mut stop => break,
            () = term.ended() => tracing::warn!("the Lease was lost, this replica waits for it again"),
            failed = leading => return failed,
        }
        metrics.leader.set(0);
    }
    tracing::info!("the operator stops");
    election.leave().await;
    Ok(())
}

/// The leader.
struct Operator {
    arguments: RunArguments,
    metrics: Metrics,
    key: SiteKey,
    stores: Arc<Stores>,
    agents: Agents,
    reporter: Reporter,
    writer: Writer,
    memory: Memory,
    /// When this replica began to lead.
    begun: Instant,
    /// When ports were given back, by Site.
    released: BTreeMap<String, BTreeMap<u16, Instant>>,
    /// When the known peers were last looked at, by Site.
    peers_looked_at: BTreeMap<String, Instant>,
    /// When a revision was raised only because agents told a higher one, by Site.
    raised: BTreeMap<String, Instant>,
}

impl Operator {
    async fn begin(
        client: Client,
        arguments: &RunArguments,
        stores: Arc<Stores>,
        changes: &watch::Sender<u64>,
        metrics: &Metrics,
        term: Term,
    ) -> anyhow::Result<Self> {
        let key = keys::operator_key(&client, &arguments.namespace).await?;
        let recorder = Recorder::new(
            client.clone(),
            EventReporter { controller: names::FIELD_MANAGER.to_owned(), instance: Some(arguments.name.clone()) },
        );
        Ok(Self {
            reporter: Reporter::new(client.clone(), recorder, metrics.clone(), term.clone()),
            agents: Agents::new(key.clone(), changes.clone()),
            arguments: arguments.clone(),
            metrics: metrics.clone(),
            key,
            stores,
            writer: Writer::new(client.clone(), metrics.clone(), term),
            memory: Memory::default(),
            begun: Instant::now(),
            released: BTreeMap::new(),
            peers_looked_at: BTreeMap::new(),
            raised: BTreeMap::new(),
        })
    }

    async fn work(mut self, mut changed: watch::Receiver<u64>) -> anyhow::Result<()> {
        loop {
            changed.mark_unchanged();
            self.round();
            tokio::select! {
                result = changed.changed() => result?,
                () = sleep(LOOK_EVERY) => continue,
            }
            sleep(SETTLE).await;
        }
    }

    fn round(&mut self) {
        let timer = self.metrics.round_seconds.start_timer();
        self.metrics.rounds.inc();
        let around = self.surroundings();
        self.writer.take_results();
        let known = Snapshot {
            unwritten: self.writer.unwritten(),
            ..self.stores.snapshot(&self.arguments.namespace, self.agents.heard())
        };
        let judged = judge(&known, &around);
        let plans = plan_all(&judged, &known, &around, &self.memory);
        self.agents.follow(agents_to_follow(&plans));
        keys::make_site_keys(&mut self.writer, &self.arguments.namespace, &plans, &self.memory.keys);
        self.apply(&plans, &known, &around);
        self.keep_peers(&plans, &known, &around);
        self.report(&plans, &judged, &known, &around);
        let remembered = remember(&plans, &self.memory);
        self.forget(remembered, around.instant);
        timer.observe_duration();
    }

    fn surroundings(&self) -> Surroundings {
        Surroundings {
            namespace: self.arguments.namespace.clone(),
            agent_image: self.arguments.agent_image.clone(),
            agent_pull_policy: self.arguments.agent_pull_policy.clone(),
            operator_key: self.key.public(),
            now: Timestamp::now(),
            instant: Instant::now(),
            beginning: self.begun.elapsed() < SILENT_AFTER,
        }
    }

    /// Order for a new app: configuration, then its Service and slices; what is no longer wanted goes last.
    fn apply(&mut self, plans: &[SitePlan<'_>], known: &Snapshot, around: &Surroundings) {
        let mut wanted = Objects::default();
        let mut frozen = BTreeSet::new();
        for plan in plans {
            if plan.is_frozen() {
                frozen.insert(plan.name());
            }
            let objects = plan.objects(known, around);
            wanted.secrets.extend(objects.secrets);
            wanted.daemon_sets.extend(objects.daemon_sets);
            wanted.services.extend(objects.services);
            wanted.slices.extend(objects.slices);
        }
        // What belongs to an object that cannot be read stays as it is.
        frozen.extend(known.unreadable.sites.iter().filter_map(|metadata| metadata.name.clone()));
        let unreadable = known.unreadable.remote_apps.iter().filter_map(|metadata| metadata.uid.as_deref());
        let unreadable: BTreeSet<&str> = unreadable.chain(plans.iter().flat_map(SitePlan::unfinished)).collect();
        let stays = |metadata: &ObjectMeta| {
            let owners = metadata.owner_references.as_deref().unwrap_or_default();
            site_of(metadata).is_some_and(|site| frozen.contains(site))
                || owners.iter().any(|owner| unreadable.contains(owner.uid.as_str()))
        };
        let ours = names::is_ours;
        let secrets: Vec<&Secret> = known.secrets.values().map(|o| &**o).filter(|o| ours(&o.metadata)).collect();
        self.writer.apply_all(wanted.secrets, &secrets, &stays);
        let sets: Vec<_> = known.daemon_sets.values().map(|o| &**o).filter(|o| ours(&o.metadata)).collect();
        self.writer.apply_all(wanted.daemon_sets, &sets, &stays);
        let slices: Vec<_> = known.slices.values().map(|o| &**o).filter(|o| ours(&o.metadata)).collect();
        self.writer.apply_all(wanted.slices, &slices, &stays);
        let services: Vec<_> = known.services.values().map(|o| &**o).filter(|o| ours(&o.metadata)).collect();
        self.writer.apply_all(wanted.services, &services, &stays);
    }

    /// Writes what agents know of other sites, for pods to come. What a predecessor wrote stands until they were heard.
    fn keep_peers(&mut self, plans: &[SitePlan<'_>], known: &Snapshot, around: &Surroundings) {
        self.peers_looked_at.retain(|_, at| around.instant.duration_since(*at) < PEERS_REST);
        for plan in plans.iter().filter(|plan| plan.configuration.is_some()) {
            if around.beginning || self.peers_looked_at.contains_key(&plan.name()) {
                continue;
            }
            self.peers_looked_at.insert(plan.name(), around.instant);
            if let Some(secret) = plan.peers_secret(known) {
                let existing = known.secrets.get(&names::peers(&plan.name()));
                self.writer.apply(secret, existing.map(|secret| &**secret));
            }
        }
    }

    fn report(&mut self, plans: &[SitePlan<'_>], judged: &Judged, known: &Snapshot, around: &Surroundings) {
        let now = around.now;
        self.reporter.take_results();
        self.metrics.forget_sites();
        for plan in plans {
            measure::site(&self.metrics, plan);
            // What a predecessor told of agents stands until they were heard.
            if around.beginning && plan.is_waiting_for_agents() {
                continue;
            }
            let site = &plan.judged.site;
            let wanted = status::site(plan, known, now);
            self.reporter.report(&**site, site.status.as_ref(), &wanted);
            for one in &plan.judged.exposed {
                let wanted = status::exposed_app(one, plan, now);
                self.reporter.report(&*one.app, one.app.status.as_ref(), &wanted);
            }
            for one in &plan.judged.remote {
                let wanted = status::remote_app(one, plan, known, now);
                self.reporter.report(&*one.app, one.app.status.as_ref(), &wanted);
            }
        }
        for (app, refusal) in &judged.unattached_exposed {
            let wanted = status::unattached_exposed_app(app, refusal, now);
            self.reporter.report(&**app, app.status.as_ref(), &wanted);
        }
        for (app, refusal) in &judged.unattached_remote {
            let wanted = status::unattached_remote_app(app, refusal, now);
            self.reporter.report(&**app, app.status.as_ref(), &wanted);
        }
        measure::objects(&self.metrics, known);
    }

    /// Takes over what was planned, and lets ports that were given back rest.
    fn forget(&mut self, remembered: Remembered, now: Instant) {
        for (site, given) in &self.memory.given {
            let still: BTreeSet<u16> =
                remembered.given.get(site).into_iter().flatten().map(|(_, port)| *port).collect();
            let released = self.released.entry(site.clone()).or_default();
            released.extend(given.values().filter(|port| !still.contains(port)).map(|port| (*port, now)));
        }
        for released in self.released.values_mut() {
            released.retain(|_, since| now.duration_since(*since) < PORT_RESTS);
        }
        self.released.retain(|_, released| !released.is_empty());
        self.note_raised(&remembered.configurations, now);
        let resting = self.released.iter().map(|(site, ports)| (site.clone(), ports.keys().copied().collect()));
        self.memory = Memory {
            configurations: remembered.configurations,
            given: remembered.given,
            resting: resting.collect(),
            keys: remembered.keys,
            raised: self.raised.keys().cloned().collect(),
        };
    }

    /// Notes Sites whose document got a higher revision without any other change.
    fn note_raised(&mut self, configurations: &BTreeMap<String, Configuration>, now: Instant) {
        for (site, configuration) in configurations {
            let before = self.memory.configurations.get(site);
            if before.is_some_and(|before| {
                before.revision < configuration.revision && before.document == configuration.document
            }) {
                self.raised.insert(site.clone(), now);
            }
        }
        self.raised.retain(|_, at| now.duration_since(*at) < RAISE_REST);
    }
}

struct Remembered {
    configurations: BTreeMap<String, Configuration>,
    keys: BTreeMap<String, SiteKey>,
    given: BTreeMap<String, BTreeMap<Key, u16>>,
}

fn remember(plans: &[SitePlan<'_>], before: &Memory) -> Remembered {
    let configurations = plans.iter().filter_map(|plan| Some((plan.name(), plan.configuration.clone()?)));
    // Of one whose Secret is gone or damaged the last one stays known.
    let keys = plans.iter().filter_map(|plan| {
        let uid = plan.judged.site.uid()?;
        let key = plan.key.as_ref().ok().or_else(|| before.keys.get(&uid))?.clone();
        Some((uid, key))
    });
    Remembered {
        configurations: configurations.collect(),
        keys: keys.collect(),
        given: plans.iter().map(|plan| (plan.name(), plan.ports.clone())).collect(),
    }
}

fn agents_to_follow(plans: &[SitePlan<'_>]) -> BTreeMap<String, Agent> {
    let mut agents = BTreeMap::new();
    for plan in plans {
        let (Some(configuration), Some(site_key)) = (&plan.configuration, plan.public_key()) else { continue };
        let document = Arc::new(configuration.to_bytes());
        for agent in &plan.agents {
            let (Some(uid), Some(address)) = (agent.pod.uid(), api_address(agent.pod)) else { continue };
            let revision = configuration.revision;
            agents.insert(uid, Agent { address, site_key, revision, document: document.clone() });
        }
    }
    agents
}

fn api_address(pod: &Pod) -> Option<SocketAddr> {
    let ip = address(pod, "IPv4").or_else(|| address(pod, "IPv6"))?;
    Some(SocketAddr::new(ip.parse().ok()?, names::API_PORT))
}

fn site_of(metadata: &ObjectMeta) -> Option<&str> {
    metadata.labels.as_ref()?.get(names::SITE_LABEL).map(String::as_str)
}
