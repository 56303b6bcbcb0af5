//! The agents of a Site, and what is known of them.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use crate::agent_report::{Listener, Report};
use crate::collect::{Snapshot, Surroundings, is_ready};
use crate::known_peers::KnownPeers;

/// An agent and what is known of it.
#[derive(Clone, Debug)]
pub struct PlannedAgent<'a> {
    /// Its pod.
    pub pod: &'a Pod,
    /// Whether its pod is ready, or it says so itself: after an outage of the API server Kubernetes takes all nodes for lost.
    pub ready: bool,
    /// What it told, if it was heard lately.
    pub report: Option<Arc<Report>>,
    /// What it knows of other sites, as it told last.
    pub peers: Option<Arc<KnownPeers>>,
    /// Why it refused the configuration that was pushed last.
    pub refusal: Option<String>,
    /// Whether it was never heard so far, and need not have been yet, or the operator doubts that it hears.
    pub new: bool,
    /// Whether it ought to have been heard lately, and was not.
    pub silent: bool,
}

impl PlannedAgent<'_> {
    /// The node of the agent.
    pub fn node(&self) -> &str {
        self.pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or("?")
    }

    /// What it tells of a local socket.
    pub fn listener(&self, local_socket: &str) -> Option<&Listener> {
        self.report.as_ref()?.listeners.iter().find(|listener| listener.local_socket == local_socket)
    }
}

/// Finds the agents of a Site, those that go away excepted.
pub(super) fn agents<'a>(site: &str, known: &'a Snapshot, around: &Surroundings) -> Vec<PlannedAgent<'a>> {
    let pods: Vec<&Arc<Pod>> = known.agents_of(site).collect();
    let is_new = |pod: &Pod| known.heard_of(pod).is_none_or(|heard| heard.is_new(around.instant));
    let is_alive = |pod: &Pod| known.heard_of(pod).is_some_and(|heard| heard.is_alive(around.instant));
    let due: Vec<&&Arc<Pod>> = pods.iter().filter(|pod| is_ready(pod) && !is_new(pod)).collect();
    let silent = due.iter().filter(|pod| !is_alive(pod)).count();
    // When most are silent at once, it is rather this operator that hears nothing: what it last saw stands.
    let doubts_itself = silent * 2 > due.len();
    let planned = |pod: &'a Arc<Pod>| {
        let report = known.heard_of(pod).and_then(|heard| heard.report.clone());
        let report = report.filter(|_| is_alive(pod) || doubts_itself);
        let new = is_new(pod) || (doubts_itself && report.is_none());
        let refusal = known.heard_of(pod).and_then(|heard| heard.refusal.clone());
        let peers = known.heard_of(pod).and_then(|heard| heard.peers.clone());
        let silent = is_ready(pod) && !is_new(pod) && !is_alive(pod);
        let says_ready = is_alive(pod) && report.as_ref().is_some_and(|report| report.ready && !report.draining);
        PlannedAgent { pod, ready: is_ready(pod) || says_ready, report, peers, refusal, new, silent }
    };
    pods.into_iter().map(planned).collect()
}
