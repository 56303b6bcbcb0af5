//! Judges one exposed app.

use std::collections::BTreeSet;
use std::fmt::Display;

use crate::app::{APP_DIAL_TIMEOUT, AllowedSites, ExposedApp, PORTS_MAX, SiteReference, Target};
use crate::document;
use crate::name::PortName;
use crate::range::{TargetRange, parse_block, parse_ports};
use crate::socket::AppSocket;

use super::report::Report;

#[derive(Clone, Copy)]
enum Mode {
    Single,
    Range,
}

pub(super) fn judge(path: &str, app: &document::ExposedApp, report: &mut Report) -> Option<ExposedApp> {
    let name = report.name(&format!("{path}.appName"), app.app_name.as_deref());
    let target = target(path, app, report);
    let allowed_sites = allowed_sites(&format!("{path}.allowedSites"), app.allowed_sites.as_deref(), report);
    let max_connections = report.number(&format!("{path}.maxConnections"), app.max_connections, 1..=u32::MAX);
    let idle_timeout = report.idle_timeout(&format!("{path}.idleTimeout"), app.idle_timeout.as_ref());
    let connect_path = format!("{path}.connectTimeout");
    let connect_timeout = report.connect_timeout(&connect_path, app.connect_timeout.as_ref(), APP_DIAL_TIMEOUT);
    Some(ExposedApp {
        name: name?,
        target: target?,
        allowed_sites: allowed_sites?,
        max_connections: max_connections?,
        idle_timeout: idle_timeout?,
        connect_timeout: connect_timeout?,
        proxy_protocol: app.proxy_protocol.unwrap_or(false),
    })
}

fn target(path: &str, app: &document::ExposedApp, report: &mut Report) -> Option<Target> {
    let words = [("single", Mode::Single), ("range", Mode::Range)];
    let mode = report.word(&format!("{path}.mode"), super::filled(app.mode.as_deref()), &words)?;
    let socket = super::filled(app.app_socket.as_deref());
    match (mode.unwrap_or(Mode::Single), app.ports.is_empty()) {
        // As in wovenet, appSocket is neither used nor judged here.
        (Mode::Range, true) => range(path, app, report).map(Target::Range),
        (Mode::Range, false) => {
            report.error(format!("{path}.ports"), "cannot go with mode range; use portRange, or leave mode out");
            None
        }
        (Mode::Single, true) => report.dialled_socket(&format!("{path}.appSocket"), socket).map(Target::Single),
        (Mode::Single, false) => {
            if socket.is_some() {
                report.error(format!("{path}.appSocket"), "cannot go with ports; leave one of them out");
            }
            ports(path, &app.ports, report).map(Target::Ports)
        }
    }
}

fn ports(path: &str, ports: &[document::AppPort], report: &mut Report) -> Option<Vec<(PortName, AppSocket)>> {
    report.at_most(&format!("{path}.ports"), ports.len(), PORTS_MAX);
    let mut judged = Vec::new();
    let mut names = BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        let path = format!("{path}.ports[{index}]");
        let name: Option<PortName> = report.name(&format!("{path}.name"), port.name.as_deref());
        if let Some(name) = name.as_ref().filter(|name| !names.insert(PortName::clone(name))) {
            report.error(format!("{path}.name"), format!("{name:?} is named twice; names must be unique in the app"));
        }
        let socket = report.dialled_socket(&format!("{path}.appSocket"), port.app_socket.as_deref());
        judged.push(name.zip(socket));
    }
    judged.into_iter().collect()
}

fn range(path: &str, app: &document::ExposedApp, report: &mut Report) -> Option<TargetRange> {
    let ports_path = format!("{path}.portRange");
    let ports = each(&ports_path, &app.port_range, "ports such as 5900-5990", parse_ports, report);
    let addresses_path = format!("{path}.addressRange");
    let blocks = "addresses or blocks such as 10.0.2.0/24";
    let addresses = each(&addresses_path, &app.address_range, blocks, parse_block, report);
    Some(TargetRange { addresses: addresses?, ports: ports? })
}

fn each<T, E: Display>(
    path: &str,
    texts: &[String],
    what: &str,
    parse: impl Fn(&str) -> Result<T, E>,
    report: &mut Report,
) -> Option<Vec<T>> {
    if texts.is_empty() {
        report.error(path, format!("is required with mode range: {what}"));
        return None;
    }
    let parsed = texts.iter().enumerate();
    let parsed: Vec<Option<T>> =
        parsed.map(|(index, text)| report.parsed(&format!("{path}[{index}]"), text, parse(text))).collect();
    parsed.into_iter().collect()
}

fn allowed_sites(path: &str, sites: Option<&[String]>, report: &mut Report) -> Option<AllowedSites> {
    let Some(sites) = sites else { return Some(AllowedSites::All) };
    if sites.is_empty() {
        report.error(path, "is empty, so that no site could use the app; name sites, or write [\"*\"] for every site");
        return None;
    }
    if sites.iter().any(|site| site == "*") {
        if sites.len() > 1 {
            report.error(path, "has \"*\" beside names; write [\"*\"] for every site, or the names only");
            return None;
        }
        return Some(AllowedSites::All);
    }
    let references = sites.iter().enumerate();
    let references: Vec<Option<SiteReference>> =
        references.map(|(index, text)| reference(&format!("{path}[{index}]"), text, report)).collect();
    references.into_iter().collect::<Option<BTreeSet<_>>>().map(AllowedSites::Only)
}

fn reference(path: &str, text: &str, report: &mut Report) -> Option<SiteReference> {
    if text.starts_with(crate::key::PUBLIC_KEY_PREFIX) {
        report.error(path, "is a public key; write the site's id or its name");
        return None;
    }
    match text.parse() {
        Ok(id) => Some(SiteReference::Id(id)),
        Err(_) => report.name(path, Some(text)).map(SiteReference::Name),
    }
}
