//! The supervisor: builds the agent from its configuration, applies changes to it, and ends it in order.

mod changes;
mod core;
mod identity;
mod in_force;
mod metrics;
mod own_addresses;
mod persist;
mod readiness;
mod reload;
mod saved;
mod servers;
mod status;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wovenet_config::Loaded;

use crate::api::Agent;
use crate::telemetry::LevelHandle;

pub use core::{Core, StartError};
pub use identity::{Identity, state_location};

/// How long streams may go on after the agent was told to stop.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(30);
/// How long each part may take to say goodbye.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);

/// How the agent was started.
#[derive(Clone, Debug)]
pub struct StartOptions {
    /// The configuration file.
    pub file: PathBuf,
    /// Keep no state on disk.
    pub ephemeral: bool,
}

/// A running agent.
pub struct App {
    core: Arc<Core>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl App {
    /// Starts every part. What can recover by itself, such as a taken port or a broker that is away, is a state and not
    /// an error.
    ///
    /// # Errors
    /// [`StartError`] for what cannot: an unusable state directory, a damaged site key.
    pub async fn start(
        loaded: Loaded,
        options: StartOptions,
        level: LevelHandle,
        metrics: prometheus::Registry,
    ) -> Result<Self, StartError> {
        let core = Core::start(loaded, &options, level, metrics).await?;
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let spawn = |task: futures_util::future::BoxFuture<'static, ()>| {
            let stop = stop.clone();
            tasks.spawn(async move { stop.run_until_cancelled_owned(task).await });
        };
        spawn(Box::pin(changes::follow(core.clone())));
        spawn(Box::pin(persist::save_peers(core.clone())));
        spawn(Box::pin(readiness::watch(core.clone())));
        spawn(Box::pin(reload::watch(core.clone(), options.file)));
        tasks.spawn(servers::run(core.clone(), stop.clone()));
        Ok(Self { core, tasks, stop })
    }

    /// Returns the agent as the API sees it.
    pub fn agent(&self) -> Arc<dyn Agent> {
        Arc::new(self.core.clone())
    }

    /// Ends the agent: go-away, streams within the grace, channels closed with a code, offline told.
    pub async fn shutdown(self, grace: Duration) {
        tracing::info!(grace_seconds = grace.as_secs(), "the agent stops");
        self.core.shutdown(grace).await;
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(GOODBYE_TIMEOUT, self.tasks.wait()).await.is_err() {
            tracing::warn!("not every part of the agent ended in time");
        }
        tracing::info!("the agent has stopped");
    }
}
