//! Readiness: sockets bound, and once after the start a channel to each needed site or 15 s gone by.
//! It never falls again: a lost broker or tunnel must not delete working flows.

use std::sync::Arc;
use std::time::Duration;

use crate::app::core::Core;
use crate::forward::ListenerState;
use crate::tunnel::status::SiteState;

/// How long a needed site may keep the agent from being ready.
pub const READY_WITHOUT_SITES_AFTER: Duration = Duration::from_secs(15);

/// Marks the agent ready once it is.
pub(super) async fn watch(core: Arc<Core>) {
    let mut changes = core.watch_changes();
    let late = tokio::time::sleep(READY_WITHOUT_SITES_AFTER);
    tokio::pin!(late);
    let mut waited = false;
    loop {
        changes.mark_unchanged();
        if sockets_bound(&core) && (waited || sites_connected(&core)) {
            tracing::info!("the agent is ready");
            core.set_ready();
            return;
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = &mut late, if !waited => waited = true,
        }
    }
}

/// A tunnel socket must be bound; a local socket must have been tried, as one taken port must not hold up other apps.
fn sockets_bound(core: &Core) -> bool {
    let sockets = core.tunnels.sockets().borrow().clone();
    let configured = core.config().tunnel.local_sockets.len();
    let listening = sockets.values().filter(|state| matches!(state, crate::tunnel::SocketState::Listening(_))).count();
    let tried = core.forward.status().iter().all(|listener| !matches!(listener.state, ListenerState::Starting));
    listening >= configured && tried
}

fn sites_connected(core: &Core) -> bool {
    let sites = core.tunnels.sites();
    let connected = |name: &str| sites.iter().any(|site| site.site_name == name && site.state == SiteState::Connected);
    let config = core.config();
    config.remote_apps.iter().all(|app| app.providers.iter().any(|provider| connected(provider.site.as_str())))
}
