//! Which replica writes: the holder of a Lease (coordination.k8s.io/v1).
//!
//! A replica trusts only its own clock: it takes a Lease that has not moved for as long as it holds, and stops to write before
//! others may take its own. Each write of the Lease names the version that was read, so that of two only one succeeds.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::names::FIELD_MANAGER;

/// The name of the Lease.
pub const LEASE: &str = "wovenet-operator";
/// How long a Lease holds after its last renewal.
pub const LEASE_DURATION: Duration = Duration::from_secs(10);
/// How long after the beginning of its last renewal a leader writes: what is on its way arrives before others lead.
const TERM: Duration = Duration::from_secs(7);
/// How often a leader renews.
const RENEW_EVERY: Duration = Duration::from_secs(3);
/// How often a replica that waits looks, and how soon what failed is tried again.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long reading or writing the Lease may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);

/// Until when this replica may write.
#[derive(Clone, Debug)]
pub struct Term(watch::Receiver<Option<Instant>>);

impl Term {
    /// Tells whether this replica may write.
    pub fn holds(&self) -> bool {
        self.0.borrow().is_some_and(|until| Instant::now() < until)
    }

    /// Waits until it begins.
    pub async fn begins(&self) {
        // An error means that the candidate is gone, which ends nothing else.
        if self.0.clone().wait_for(|until| until.is_some_and(|until| Instant::now() < until)).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until it ends.
    pub async fn ended(&self) {
        let mut term = self.0.clone();
        loop {
            let left = term.borrow_and_update().map(|until| until.saturating_duration_since(Instant::now()));
            let Some(left) = left.filter(|left| !left.is_zero()) else { return };
            tokio::select! {
                () = sleep(left) => {}
                changed = term.changed() => if changed.is_err() { return },
            }
        }
    }
}

/// Takes part in the election.
#[derive(Debug)]
pub struct Election {
    /// Until when this replica may write.
    pub term: Term,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Election {
    /// Resolves when this replica takes part no longer though nobody asked it to leave: its task panicked.
    pub async fn failed(&mut self) -> anyhow::Error {
        match (&mut self.task).await {
            Ok(()) => anyhow::anyhow!("the election ended"),
            Err(error) => anyhow::anyhow!("the election ended: {error}"),
        }
    }

    /// Gives the Lease back, so that another replica leads at once. If that fails it runs out.
    pub async fn leave(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::warn!(%error, "the Lease cannot be given back");
        }
    }
}

/// Starts to take part, as `identity`.
pub fn take_part(client: Client, namespace: &str, identity: &str) -> Election {
    let (term, seen) = watch::channel(None);
    let stop = CancellationToken::new();
    let candidate =
        Candidate { api: Api::namespaced(client, namespace), identity: identity.to_owned(), seen: None, term };
    Election { term: Term(seen), stop: stop.clone(), task: tokio::spawn(candidate.run(stop)) }
}

/// The Lease of another replica, as it was first seen.
struct Seen {
    spec: LeaseSpec,
    at: Instant,
}

struct Candidate {
    api: Api<Lease>,
    identity: String,
    seen: Option<Seen>,
    term: watch::Sender<Option<Instant>>,
}

impl Candidate {
    async fn run(mut self, stop: CancellationToken) {
        let mut failing = false;
        while !stop.is_cancelled() {
            let begun = Instant::now();
            let attempt = timeout(ATTEMPT_TIMEOUT, self.attempt(begun)).await;
            let outcome = attempt
                .map_err(|_| "no answer in time".to_owned())
                .and_then(|held| held.map_err(|error| error.to_string()));
            let pause = match &outcome {
                Ok(true) => RENEW_EVERY,
                _ => LOOK_EVERY,
            };
            let was_failing = std::mem::replace(&mut failing, outcome.is_err());
            match outcome {
                Ok(true) => drop(self.term.send_replace(Some(begun + TERM))),
                Ok(false) => drop(self.term.send_replace(None)),
                // What was won before holds until it ends.
                Err(error) if !was_failing => {
                    tracing::warn!(error, "cannot read or write the Lease, it is tried again")
                }
                Err(_) => {}
            }
            stop.run_until_cancelled(sleep(pause)).await;
        }
        self.term.send_replace(None);
        match timeout(ATTEMPT_TIMEOUT, self.give_back()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the Lease cannot be given back"),
            Err(_) => tracing::warn!("the Lease cannot be given back in time"),
        }
    }

    /// Takes or renews the Lease if that may be; returns whether this replica holds it.
    async fn attempt(&mut self, now: Instant) -> kube::Result<bool> {
        let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let Some(mut lease) = self.api.get_opt(LEASE).await? else {
            let metadata = ObjectMeta { name: Some(LEASE.to_owned()), ..ObjectMeta::default() };
            let lease = Lease { metadata, spec: Some(self.held(&LeaseSpec::default())) };
            return self.api.create(&parameters, &lease).await.map(|_| true);
        };
        let spec = lease.spec.take().unwrap_or_default();
        if !self.may_take(&spec, now) {
            return Ok(false);
        }
        lease.spec = Some(self.held(&spec));
        self.api.replace(LEASE, &parameters, &lease).await.map(|_| true)
    }

    /// Whether the Lease is free, this replica's own, or has not moved for as long as it holds.
    fn may_take(&mut self, spec: &LeaseSpec, now: Instant) -> bool {
        let holder = spec.holder_identity.as_deref().unwrap_or_default();
        if holder.is_empty() || holder == self.identity {
            self.seen = None;
            return true;
        }
        match &self.seen {
            Some(seen) if seen.spec == *spec => now.saturating_duration_since(seen.at) >= duration(spec),
            _ => {
                self.seen = Some(Seen { spec: spec.clone(), at: now });
                false
            }
        }
    }

    fn held(&self, before: &LeaseSpec) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let ours = before.holder_identity.as_ref() == Some(&self.identity);
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(LEASE_DURATION.as_secs()).ok(),
            acquire_time: before.acquire_time.clone().filter(|_| ours).or_else(|| Some(now.clone())),
            renew_time: Some(now),
            lease_transitions: Some(before.lease_transitions.unwrap_or(0) + i32::from(!ours)),
            ..LeaseSpec::default()
        }
    }

    async fn give_back(&self) -> kube::Result<()> {
        let Some(mut lease) = self.api.get_opt(LEASE).await? else { return Ok(()) };
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_ref() != Some(&self.identity) {
            return Ok(());
        }
        spec.holder_identity = None;
        let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        self.api.replace(LEASE, &parameters, &lease).await.map(drop)
    }
}

fn duration(spec: &LeaseSpec) -> Duration {
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    seconds.map_or(LEASE_DURATION, Duration::from_secs)
}
