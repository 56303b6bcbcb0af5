//! `wovenet-agent run`: telemetry, start, signals, stop.

use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::app::{App, StartOptions};
use crate::cli::load_file;
use crate::telemetry;

/// Threads of the runtime for everything but tunnels.
const RUNTIME_THREADS: usize = 2;

/// Runs an agent until it is told to stop.
///
/// # Errors
/// What keeps the agent from starting.
pub fn run(file: PathBuf, ephemeral: bool, grace: Duration) -> anyhow::Result<()> {
    let loaded = load_file(&file)?;
    let level = telemetry::start(&loaded.config.logger)?;
    loaded.warnings.iter().for_each(|problem| tracing::warn!(%problem, "doubtful configuration"));
    let metrics = prometheus::Registry::new();
    telemetry::watch_panics(&metrics)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(RUNTIME_THREADS)
        .thread_name("agent")
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(async {
        let mut stop = stop_signals()?;
        let options = StartOptions { file, ephemeral };
        let app = App::start(loaded, options, level, metrics).await?;
        stop.recv().await;
        tokio::select! {
            () = app.shutdown(grace) => Ok(()),
            () = stop.recv() => Err(anyhow::anyhow!("stopped by a second signal before all streams had ended")),
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

struct StopSignals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

fn stop_signals() -> std::io::Result<StopSignals> {
    Ok(StopSignals { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
}

impl StopSignals {
    async fn recv(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
