//! Judges the lists of apps: how many, and what must be unique.

use std::collections::BTreeMap;

use crate::app::{APPS_MAX, ExposedApp, RemoteApp};
use crate::document;
use crate::name::SiteName;

use super::report::Report;
use super::{exposed_app, remote_app};

/// The most apps that one warning names.
const NAMED_MAX: usize = 10;

pub(super) fn exposed(apps: &[document::ExposedApp], report: &mut Report) -> Vec<ExposedApp> {
    report.at_most("localExposedApps", apps.len(), APPS_MAX);
    let judged = apps
        .iter()
        .enumerate()
        .filter_map(|(index, app)| exposed_app::judge(&format!("localExposedApps[{index}]"), app, report))
        .collect();
    let mut first_of_name = BTreeMap::new();
    for (index, name) in apps.iter().enumerate().filter_map(|(index, app)| Some((index, app.app_name.as_ref()?))) {
        if let Some(first) = first_of_name.insert(name, index) {
            let message = format!(
                "{} is also the name of localExposedApps[{first}]; names must be unique",
                crate::problem::shown(name)
            );
            report.error(format!("localExposedApps[{index}].appName"), message);
        }
    }
    warn_of_open_apps(apps, report);
    judged
}

/// One warning for the whole document: a file of wovenet has no `allowedSites` at all.
fn warn_of_open_apps(apps: &[document::ExposedApp], report: &mut Report) {
    let open: Vec<&str> = apps
        .iter()
        .filter(|app| app.allowed_sites.is_none())
        .map(|app| app.app_name.as_deref().unwrap_or("?"))
        .collect();
    if open.is_empty() {
        return;
    }
    let named: Vec<String> = open.iter().take(NAMED_MAX).map(|name| crate::problem::shown(name)).collect();
    let more = match open.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let message = format!(
        "every site of the mesh may use {}{more}: set allowedSites to the names or ids of sites, or to [\"*\"] if that is meant",
        named.join(", ")
    );
    report.warning("localExposedApps", message);
}

pub(super) fn remote(apps: &[document::RemoteApp], own_name: Option<&SiteName>, report: &mut Report) -> Vec<RemoteApp> {
    report.at_most("remoteApps", apps.len(), APPS_MAX);
    apps.iter()
        .enumerate()
        .filter_map(|(index, app)| remote_app::judge(&format!("remoteApps[{index}]"), app, own_name, report))
        .collect()
}
