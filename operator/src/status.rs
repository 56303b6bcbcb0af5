//! Conditions and status of every object, from what is planned. Pure.

mod exposed_app;
mod remote_app;
mod site;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use wovenet_crds::condition::{self, ConditionType, Reason, Verdict};

use crate::collect::Snapshot;
use crate::judge::Refusal;
use crate::plan::{PlannedAgent, SitePlan};

pub use exposed_app::{exposed_app, unattached_exposed_app};
pub use remote_app::{remote_app, unattached_remote_app};
pub use site::site;

/// The conditions of one object while they are set.
struct Conditions {
    list: Vec<Condition>,
    generation: i64,
    now: Timestamp,
}

impl Conditions {
    fn of(so_far: &[Condition], generation: Option<i64>, now: Timestamp) -> Self {
        Self { list: so_far.to_vec(), generation: generation.unwrap_or(0), now }
    }

    fn set(&mut self, type_: ConditionType, verdict: &Verdict) {
        condition::set(&mut self.list, type_, verdict, self.generation, self.now);
    }

    fn accepted(&mut self, type_: ConditionType, result: Result<&str, &Refusal>) {
        self.set(type_, &verdict(type_, result));
    }

    /// Sets Ready from the others and returns all.
    fn summed_up(mut self, needs: &[ConditionType]) -> Vec<Condition> {
        let ready = condition::ready(&self.list, needs);
        self.set(ConditionType::Ready, &ready);
        self.list
    }
}

fn verdict(type_: ConditionType, result: Result<&str, &Refusal>) -> Verdict {
    match result {
        Ok(message) => Verdict::holds(type_, message),
        Err((reason, message)) => Verdict::fails(*reason, message.clone()),
    }
}

/// Whether every ready agent has what it was told last of one part of the configuration: `since` is the revision since
/// which it says so, `None` when it does not say it.
fn programmed(plan: &SitePlan<'_>, since: Option<u64>) -> Result<(), Verdict> {
    if plan.configuration.is_none() {
        return Err(Verdict::fails(Reason::Pending, "the agents have no configuration yet"));
    }
    let Some(since) = since else {
        let message = format!("this waits, as Site {} cannot be configured now: see its conditions", plan.name());
        return Err(Verdict::fails(Reason::Pending, message));
    };
    let ready: Vec<&PlannedAgent<'_>> = plan.agents.iter().filter(|agent| agent.ready).collect();
    if ready.is_empty() {
        return Err(Verdict::fails(Reason::AgentsNotReady, none_ready(&plan.agents)));
    }
    if let Some(agent) = ready.iter().find(|agent| agent.silent || agent.report.is_none()) {
        let message = format!("the agent of node {} does not answer the operator", agent.node());
        return Err(Verdict::fails(Reason::AgentsNotReady, message));
    }
    let lags = |agent: &&PlannedAgent<'_>| agent.report.as_ref().is_none_or(|report| report.revision < since);
    let lagging: Vec<_> = ready.into_iter().filter(lags).collect();
    let refuses = lagging.iter().find_map(|agent| Some((agent.node(), agent.refusal.as_ref()?)));
    match refuses {
        Some((node, refusal)) => {
            let message = format!("the agent of node {node} does not take the configuration: {refusal}");
            Err(Verdict::fails(Reason::Pending, message))
        }
        None if lagging.is_empty() => Ok(()),
        None => Err(Verdict::fails(Reason::Pending, "agents are being told")),
    }
}

/// Says why no agent is ready, as far as that stays the same while it lasts: a status that changes by itself would be written
/// again and again.
fn none_ready(agents: &[PlannedAgent<'_>]) -> String {
    let lacks_image = |agent: &&PlannedAgent<'_>| {
        let status = agent.pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        let mut waiting = status.filter_map(|status| status.state.as_ref()?.waiting.as_ref()?.reason.as_deref());
        waiting.any(|reason| reason.contains("Image"))
    };
    match (agents.is_empty(), agents.iter().find(lacks_image)) {
        (true, _) => "no agent is ready, and there is no pod: see the events of the Site's DaemonSet".to_owned(),
        (false, Some(agent)) => {
            format!("no agent is ready: the image of pod {} cannot be pulled", agent.pod.name_any())
        }
        (false, None) => "no agent is ready: see the DaemonSet of the Site and its pods".to_owned(),
    }
}

/// Tells of an object that cannot be written, if there is one among these.
fn unwritten<'a>(
    known: &Snapshot,
    objects: impl IntoIterator<Item = (&'a str, &'a str, String)>,
) -> Result<(), Verdict> {
    for (kind, namespace, name) in objects {
        if let Some(error) = known.unwritten.get(&format!("{kind} {namespace}/{name}")) {
            return Err(Verdict::fails(Reason::Pending, format!("{kind} {name} cannot be written: {error}")));
        }
    }
    Ok(())
}
