//! Reloads the configuration file on SIGHUP and when it changes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecursiveMode, Watcher};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::app::core::Core;

/// An editor writes a file in several steps; they count as one change.
const SETTLE: Duration = Duration::from_millis(300);

/// Runs until cancelled. A configuration that is wrong is refused whole, told in the log, and the running one stays.
pub(super) async fn watch(core: Arc<Core>, file: PathBuf) {
    let (changed, mut changes) = watch::channel(0u64);
    let watcher = watch_directory(&file, changed);
    if let Err(error) = &watcher {
        tracing::warn!(file = %file.display(), %error, "changes of the configuration file are not seen; use SIGHUP");
    }
    let mut hangup = match signal(SignalKind::hangup()) {
        Ok(hangup) => hangup,
        Err(error) => return tracing::warn!(%error, "cannot listen for SIGHUP"),
    };
    loop {
        tokio::select! {
            _ = hangup.recv() => core.reload(&file, true).await,
            Ok(()) = changes.changed() => {
                tokio::time::sleep(SETTLE).await;
                changes.mark_unchanged();
                core.reload(&file, false).await;
            }
        }
    }
}

/// Watches the directory, as editors and Kubernetes replace the file.
fn watch_directory(file: &Path, changed: watch::Sender<u64>) -> notify::Result<notify::RecommendedWatcher> {
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| !event.kind.is_access()) {
            changed.send_modify(|count| *count += 1);
        }
    })?;
    watcher.watch(directory, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}
