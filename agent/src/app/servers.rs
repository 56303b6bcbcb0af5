//! Serves the API and the health port as configured, and anew when their settings change.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use wovenet_config::api::{Api, Health};

use crate::api::{Agent, ApiServer, HealthServer};
use crate::app::core::Core;

/// Time between two tries to start a server whose port is taken or whose files are missing.
const RETRY: Duration = Duration::from_secs(5);

/// Runs until cancelled. A server that cannot start is told and tried again; tunnels go on.
pub(super) async fn run(core: Arc<Core>, stop: CancellationToken) {
    tokio::join!(serve_api(core.clone(), stop.clone()), serve_health(core, stop));
}

async fn serve_api(core: Arc<Core>, stop: CancellationToken) {
    let mut changes = core.watch_changes();
    loop {
        changes.mark_unchanged();
        let settings = core.config().api.clone();
        let server = match &settings {
            None => None,
            Some(api) => match start_api(&core, api).await {
                Ok(server) => Some(server),
                Err(error) => {
                    tracing::error!(%error, "the API does not run; tunnels go on");
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(RETRY) => continue,
                    }
                }
            },
        };
        let stopped = until_differs(&core, &stop, |core| core.config().api != settings).await;
        if let Some(server) = server {
            server.shutdown().await;
        }
        if stopped {
            return;
        }
    }
}

async fn start_api(core: &Arc<Core>, api: &Api) -> Result<ApiServer, crate::api::ApiError> {
    let agent: Arc<dyn Agent> = Arc::new(core.clone());
    ApiServer::start(api, agent, Some(&core.identity.key)).await
}

async fn serve_health(core: Arc<Core>, stop: CancellationToken) {
    loop {
        let settings: Option<Health> = core.config().health;
        let server = match settings {
            None => None,
            Some(health) => {
                let agent: Arc<dyn Agent> = Arc::new(core.clone());
                match HealthServer::start(health.listen, agent, core.metrics.clone()) {
                    Ok(server) => Some(server),
                    Err(error) => {
                        tracing::error!(%error, "the health port does not run; tunnels go on");
                        tokio::select! {
                            () = stop.cancelled() => return,
                            () = tokio::time::sleep(RETRY) => continue,
                        }
                    }
                }
            }
        };
        let stopped = until_differs(&core, &stop, |core| core.config().health != settings).await;
        if let Some(server) = server {
            server.shutdown().await;
        }
        if stopped {
            return;
        }
    }
}

/// Waits until the configuration differs, and tells whether the agent stops instead.
async fn until_differs(core: &Core, stop: &CancellationToken, differs: impl Fn(&Core) -> bool) -> bool {
    let mut changes = core.watch_changes();
    while !differs(core) {
        tokio::select! {
            () = stop.cancelled() => return true,
            changed = changes.changed() => if changed.is_err() { return true },
        }
    }
    false
}
