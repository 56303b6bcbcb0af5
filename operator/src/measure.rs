//! Sets the metrics that tell how Sites, agents and objects are.

use std::collections::BTreeMap;
use std::sync::Arc;

use wovenet_crds::condition;

use crate::agent_report::Report;
use crate::collect::{Snapshot, Unreadable};
use crate::metrics::Metrics;
use crate::plan::SitePlan;
use crate::report_status::Conditioned;

/// Measures a Site and its agents.
pub(crate) fn site(metrics: &Metrics, plan: &SitePlan<'_>) {
    let (site, gauge) = (plan.name(), |number: usize| i64::try_from(number).unwrap_or(i64::MAX));
    let revision = plan.configuration.as_ref().map_or(0, |configuration| configuration.revision);
    let current = |report: &&Arc<Report>| report.revision >= revision;
    let heard = plan.agents.iter().filter(|agent| !agent.silent).filter_map(|agent| agent.report.as_ref());
    let heard: Vec<_> = heard.collect();
    let agents = &metrics.agents;
    agents.with_label_values(&[site.as_str(), "known"]).set(gauge(plan.agents.len()));
    agents.with_label_values(&[site.as_str(), "heard"]).set(gauge(heard.len()));
    agents.with_label_values(&[site.as_str(), "current"]).set(gauge(heard.into_iter().filter(current).count()));
    metrics.config_revision.with_label_values(&[&site]).set(i64::try_from(revision).unwrap_or(i64::MAX));
    let bytes = plan.configuration.as_ref().map_or(0, |configuration| configuration.to_bytes().len());
    metrics.config_bytes.with_label_values(&[&site]).set(gauge(bytes));
    metrics.ports_used.with_label_values(&[&site]).set(gauge(plan.ports.len()));
}

/// Counts objects by whether they are ready.
pub(crate) fn objects(metrics: &Metrics, known: &Snapshot) {
    let mut counts: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for kind in ["Site", "ExposedApp", "RemoteApp"] {
        for ready in ["True", "False", "Unknown"] {
            counts.insert((kind, ready), 0);
        }
    }
    let sites = known.sites.iter().map(|site| ("Site", ready(site.status.as_ref())));
    let exposed = known.exposed_apps.iter().map(|app| ("ExposedApp", ready(app.status.as_ref())));
    let remote = known.remote_apps.iter().map(|app| ("RemoteApp", ready(app.status.as_ref())));
    for place in sites.chain(exposed).chain(remote) {
        *counts.entry(place).or_default() += 1;
    }
    let Unreadable { sites, exposed_apps, remote_apps } = &known.unreadable;
    for (kind, objects) in [("Site", sites), ("ExposedApp", exposed_apps), ("RemoteApp", remote_apps)] {
        metrics.unreadable.with_label_values(&[kind]).set(i64::try_from(objects.len()).unwrap_or(i64::MAX));
    }
    for ((kind, ready), count) in counts {
        metrics.objects.with_label_values(&[kind, ready]).set(count);
    }
}

/// The status of the condition Ready.
fn ready<S: Conditioned>(status: Option<&S>) -> &'static str {
    let conditions = status.map(Conditioned::conditions).unwrap_or_default();
    let found = condition::find(conditions, condition::ConditionType::Ready);
    match found.map(|found| found.status.as_str()) {
        Some("True") => "True",
        Some("False") => "False",
        _ => "Unknown",
    }
}
