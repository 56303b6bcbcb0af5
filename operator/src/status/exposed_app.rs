//! Status of an exposed app.

use k8s_openapi::jiff::Timestamp;
use wovenet_crds::condition::{ConditionType, Verdict};
use wovenet_crds::exposed_app::status::TARGET_MAX_CHARS;
use wovenet_crds::{ExposedApp, ExposedAppStatus};

use super::{Conditions, programmed};
use crate::judge::{JudgedExposedApp, Refusal, Target};
use crate::plan::SitePlan;

/// Tells the status of an app of a Site.
pub fn exposed_app(one: &JudgedExposedApp, plan: &SitePlan<'_>, now: Timestamp) -> ExposedAppStatus {
    let app = &one.app;
    let mut conditions = conditions(app, now);
    conditions.accepted(ConditionType::Accepted, one.accepted.as_ref().map(|()| "attached"));
    let found = one.target.as_ref().map(|_| "the target exists");
    match (&one.accepted, found) {
        (Err(_), Err(_)) => {
            conditions.set(ConditionType::ResolvedRefs, &Verdict::pending("not looked at: the app is not accepted"));
        }
        (_, found) => conditions.accepted(ConditionType::ResolvedRefs, found),
    }
    let served = one.accepted.is_ok() && one.target.is_ok();
    conditions.set(
        ConditionType::Programmed,
        &match served.then(|| programmed(plan, plan.exposed_since(one))) {
            None => Verdict::pending("not served: see the other conditions"),
            Some(Ok(())) => Verdict::holds(ConditionType::Programmed, "every ready agent serves it"),
            Some(Err(verdict)) => verdict,
        },
    );
    ExposedAppStatus {
        observed_generation: app.metadata.generation,
        conditions: conditions.summed_up(ExposedApp::READY_NEEDS),
        site: Some(plan.name()),
        app_name: Some(app.app_name()),
        target: one.target.as_ref().ok().map(|target| describe(app, target)),
    }
}

/// Tells the status of an app that attaches to no Site.
pub fn unattached_exposed_app(app: &ExposedApp, refusal: &Refusal, now: Timestamp) -> ExposedAppStatus {
    let mut conditions = conditions(app, now);
    conditions.accepted(ConditionType::Accepted, Err(refusal));
    for type_ in [ConditionType::ResolvedRefs, ConditionType::Programmed] {
        conditions.set(type_, &Verdict::pending("not looked at: the app is not accepted"));
    }
    ExposedAppStatus {
        observed_generation: app.metadata.generation,
        conditions: conditions.summed_up(ExposedApp::READY_NEEDS),
        site: None,
        app_name: Some(app.app_name()),
        target: None,
    }
}

fn conditions(app: &ExposedApp, now: Timestamp) -> Conditions {
    let so_far = app.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    Conditions::of(so_far, app.metadata.generation, now)
}

fn describe(app: &ExposedApp, target: &Target) -> String {
    let text = match (&app.spec.service, target) {
        (Some(service), Target::Sockets(sockets)) => {
            let ports: Vec<&str> = sockets.iter().map(|(name, _)| name.as_str()).collect();
            format!("service {}:{}", service.name, ports.join(","))
        }
        (_, Target::Sockets(sockets)) => {
            sockets.iter().map(|(_, socket)| socket.as_str()).collect::<Vec<_>>().join(",")
        }
        (_, Target::Range { addresses, ports }) => format!("range {}:{}", addresses.join(","), ports.join(",")),
    };
    text.chars().take(TARGET_MAX_CHARS).collect()
}
