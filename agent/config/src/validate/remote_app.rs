//! Judges one remote app.

use std::collections::BTreeSet;

use crate::app::{
    CONNECT_TIMEOUT_DEFAULT, CONNECTIONS_MAX_DEFAULT, PROVIDERS_MAX, Provider, RemoteApp, WEIGHT_DEFAULT,
};
use crate::document;
use crate::name::SiteName;
use crate::socket::AppSocket;

use super::report::Report;

pub(super) fn judge(
    path: &str,
    app: &document::RemoteApp,
    own_name: Option<&SiteName>,
    report: &mut Report,
) -> Option<RemoteApp> {
    let providers = providers(path, app, own_name, report);
    let port = match super::filled(app.port.as_deref()) {
        None => Some(None),
        Some(port) => report.name(&format!("{path}.port"), Some(port)).map(Some),
    };
    let target = match super::filled(app.app_socket.as_deref()) {
        None => Some(None),
        Some(text) => report.dialled_socket(&format!("{path}.appSocket"), Some(text)).map(Some),
    };
    let local_path = format!("{path}.localSocket");
    let local_socket = report.socket(&local_path, app.local_socket.as_deref());
    if matches!(local_socket, Some(AppSocket::Tcp(address)) if address.port() == 0) {
        report.warning(local_path, "has port 0: the port is chosen at random and shown in the status");
    }
    let connect_path = format!("{path}.connectTimeout");
    let connect_timeout = report.connect_timeout(&connect_path, app.connect_timeout.as_ref(), CONNECT_TIMEOUT_DEFAULT);
    let idle_timeout = report.idle_timeout(&format!("{path}.idleTimeout"), app.idle_timeout.as_ref());
    let max_connections = report.number(&format!("{path}.maxConnections"), app.max_connections, 1..=u32::MAX);
    let per_client_path = format!("{path}.maxConnectionsPerClient");
    let per_client = report.number(&per_client_path, app.max_connections_per_client, 1..=u32::MAX);
    Some(RemoteApp {
        providers: providers?,
        port: port?,
        target: target?,
        local_socket: local_socket?,
        connect_timeout: connect_timeout?,
        idle_timeout: idle_timeout?,
        max_connections: max_connections?.unwrap_or(CONNECTIONS_MAX_DEFAULT),
        max_connections_per_client: per_client?,
    })
}

fn providers(
    path: &str,
    app: &document::RemoteApp,
    own_name: Option<&SiteName>,
    report: &mut Report,
) -> Option<Vec<Provider>> {
    let has_single = app.site_name.is_some() || app.app_name.is_some();
    if app.providers.is_empty() {
        let written = document::Provider {
            site_name: app.site_name.clone(),
            app_name: app.app_name.clone(),
            ..document::Provider::default()
        };
        return provider(path, &written, own_name, report).map(|provider| vec![provider]);
    }
    if has_single {
        report.error(format!("{path}.providers"), "cannot go with siteName and appName beside it; list every provider");
    }
    report.at_most(&format!("{path}.providers"), app.providers.len(), PROVIDERS_MAX);
    let written = app.providers.iter().enumerate();
    let judged: Vec<Option<Provider>> = written
        .map(|(index, written)| provider(&format!("{path}.providers[{index}]"), written, own_name, report))
        .collect();
    let mut seen = BTreeSet::new();
    for (index, provider) in judged.iter().enumerate() {
        let Some(provider) = provider else { continue };
        if !seen.insert((&provider.site, &provider.app)) {
            let message = format!("{:?} of {:?} is listed twice", provider.app, provider.site);
            report.error(format!("{path}.providers[{index}]"), message);
        }
    }
    judged.into_iter().collect()
}

fn provider(
    path: &str,
    written: &document::Provider,
    own_name: Option<&SiteName>,
    report: &mut Report,
) -> Option<Provider> {
    let site_path = format!("{path}.siteName");
    let site: Option<SiteName> = report.name(&site_path, written.site_name.as_deref());
    if site.is_some() && site.as_ref() == own_name {
        report.error(site_path, format!("{:?} is this site itself; name the site that exposes the app", own_name?));
    }
    let app = report.name(&format!("{path}.appName"), written.app_name.as_deref());
    let priority = report.number(&format!("{path}.priority"), written.priority, 0..=u16::MAX);
    let weight = report.number(&format!("{path}.weight"), written.weight, 0..=u16::MAX);
    Some(Provider {
        site: site?,
        app: app?,
        priority: priority?.unwrap_or(0),
        weight: weight?.unwrap_or(WEIGHT_DEFAULT),
    })
}
