//! What the two directions of one stream know of each other, and the count of their bytes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use prometheus::IntCounter;

use crate::forward::metrics::{AppMetrics, Waiting};

/// The first read buffer of a busy direction, in bytes. An idle one has none.
pub(super) const BUFFER_MIN_BYTES: usize = 16 * 1024;
/// What a read buffer grows to while reads fill it, in bytes.
pub(super) const BUFFER_MAX_BYTES: usize = 256 * 1024;
/// Bytes that may pass before the metric moves.
const FLUSH_BYTES: u64 = 64 * 1024;

/// The state that both directions share. One task owns it; the atomics only make that task movable.
pub(super) struct Flow<'a> {
    pub(super) up_ended: AtomicBool,
    up: Count<'a>,
    down: Count<'a>,
    metrics: &'a AppMetrics,
}

struct Count<'a> {
    total: AtomicU64,
    flushed: AtomicU64,
    metric: &'a IntCounter,
}

impl<'a> Flow<'a> {
    pub(super) fn new(metrics: &'a AppMetrics) -> Self {
        let (up, down) = (Count::new(&metrics.tx), Count::new(&metrics.rx));
        Self { up_ended: AtomicBool::new(false), up, down, metrics }
    }

    /// Counts bytes that went into the tunnel.
    pub(super) fn count_up(&self, bytes: usize) {
        self.up.add(bytes);
    }

    /// Counts bytes that came out of the tunnel and were written.
    pub(super) fn count_down(&self, bytes: usize) {
        self.down.add(bytes);
    }

    /// Counts the time for which the tunnel takes nothing.
    pub(super) fn waits_up(&self) -> Waiting<'a> {
        Waiting::new(&self.metrics.tx_waits)
    }

    /// Counts the time for which the local connection takes nothing.
    pub(super) fn waits_down(&self) -> Waiting<'a> {
        Waiting::new(&self.metrics.rx_waits)
    }

    /// Returns the bytes of both directions.
    pub(super) fn total(&self) -> u64 {
        self.up.total.load(Ordering::Relaxed) + self.delivered()
    }

    /// Returns the bytes that were written to the local connection.
    pub(super) fn delivered(&self) -> u64 {
        self.down.total.load(Ordering::Relaxed)
    }

    pub(super) fn end_up(&self) {
        self.up_ended.store(true, Ordering::Relaxed);
    }

    pub(super) fn up_has_ended(&self) -> bool {
        self.up_ended.load(Ordering::Relaxed)
    }
}

impl<'a> Count<'a> {
    fn new(metric: &'a IntCounter) -> Self {
        Self { total: AtomicU64::new(0), flushed: AtomicU64::new(0), metric }
    }

    fn add(&self, bytes: usize) {
        let total = self.total.load(Ordering::Relaxed) + bytes as u64;
        self.total.store(total, Ordering::Relaxed);
        if total - self.flushed.load(Ordering::Relaxed) >= FLUSH_BYTES {
            self.flush(total);
        }
    }

    fn flush(&self, total: u64) {
        self.metric.inc_by(total - self.flushed.swap(total, Ordering::Relaxed));
    }
}

impl Drop for Count<'_> {
    fn drop(&mut self) {
        self.flush(self.total.load(Ordering::Relaxed));
    }
}
