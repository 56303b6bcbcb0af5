//! What every part of forwarding shares: the tunnels, the metrics, the tasks and the two steps of shutting down.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::forward::metrics::Metrics;
use crate::tunnel::StreamOpener;

/// Shared by all listeners, clients and connectors of one agent.
pub(super) struct Shared {
    pub(super) opener: Arc<dyn StreamOpener>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) tasks: TaskTracker,
    /// First step: no new clients are accepted.
    pub(super) closing: CancellationToken,
    /// Second step: what is still open is reset.
    pub(super) revoked: CancellationToken,
    /// Moves with each change of a listener's state.
    pub(super) changes: watch::Sender<u64>,
}

impl Shared {
    pub(super) fn new(opener: Arc<dyn StreamOpener>, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            opener,
            metrics,
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            revoked: CancellationToken::new(),
            changes: watch::Sender::new(0),
        })
    }

    /// Runs a task of forwarding on `runtime`; it is awaited at shutdown.
    pub(super) fn spawn(self: &Arc<Self>, runtime: &Handle, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(survive(Arc::clone(&self.metrics), task), runtime);
    }

    /// Counts and awaits a task that another component runs.
    pub(super) fn track<F>(self: &Arc<Self>, task: F) -> impl Future<Output = ()> + Send + use<F>
    where
        F: Future<Output = ()> + Send,
    {
        self.tasks.track_future(survive(Arc::clone(&self.metrics), task))
    }
}

/// Sees the panic of one stream, so that the others go on. What the task held is dropped, and so reset. Combinators
/// keep the task's size: an async function would hold it twice.
fn survive<F: Future<Output = ()> + Send>(metrics: Arc<Metrics>, task: F) -> impl Future<Output = ()> + Send + use<F> {
    AssertUnwindSafe(task).catch_unwind().map(move |ended| {
        if let Err(panic) = ended {
            metrics.task_panics.inc();
            tracing::error!(error = panic_text(&*panic), "forwarding task panicked");
        }
    })
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or_default()
}
