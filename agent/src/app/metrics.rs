//! Metrics of the agent as a whole: its configuration, its readiness and its process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, Histogram, HistogramOpts, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// Buckets of the time to apply a configuration, in seconds.
const APPLY_BUCKETS: [f64; 7] = [0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0];
/// Where a configuration may come from.
const SOURCES: [&str; 4] = ["file", "saved", "operator", "api"];

/// Metrics of the supervisor, all with the prefix `wovenet_agent_`.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    pub(super) revision: IntGauge,
    pub(super) applied_at: IntGauge,
    applied: IntCounterVec,
    apply_seconds: Histogram,
    source: IntGaugeVec,
    /// Since when a newer configuration than the one in force was refused.
    refused_since: Arc<Mutex<Option<Instant>>>,
    pub(super) ready: IntGauge,
}

impl Metrics {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(format!("wovenet_agent_{name}"), help)?;
            registry.register(Box::new(gauge.clone()))?;
            prometheus::Result::Ok(gauge)
        };
        let applied = IntCounterVec::new(
            Opts::new("wovenet_agent_config_apply_total", "Configurations that were offered, by result."),
            &["result"],
        )?;
        registry.register(Box::new(applied.clone()))?;
        let build =
            IntGaugeVec::new(Opts::new("wovenet_agent_build_info", "Always 1; tells the version."), &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registry.register(Box::new(build))?;
        registry.register(Box::new(ProcessCollector::new()?))?;
        let apply_seconds = Histogram::with_opts(
            HistogramOpts::new("wovenet_agent_config_apply_duration_seconds", "Time to apply a configuration.")
                .buckets(APPLY_BUCKETS.to_vec()),
        )?;
        registry.register(Box::new(apply_seconds.clone()))?;
        let source = IntGaugeVec::new(
            Opts::new("wovenet_agent_config_source", "1 for where the configuration in force came from."),
            &["source"],
        )?;
        registry.register(Box::new(source.clone()))?;
        let refused_since = Arc::default();
        registry.register(Box::new(StaleCollector::new(Arc::clone(&refused_since))?))?;
        Ok(Self {
            revision: gauge("config_revision", "Revision of the configuration in force; 0 for a person's file.")?,
            applied_at: gauge(
                "config_applied_timestamp_seconds",
                "When the configuration in force was applied, as seconds since 1970.",
            )?,
            applied,
            apply_seconds,
            source,
            refused_since,
            ready: gauge("ready", "1 once the agent is ready, as /readyz tells.")?,
        })
    }

    /// Counts a configuration that is in force from now on, and where it came from.
    pub(super) fn note_applied(&self, revision: u64, source: &'static str, took: Duration) {
        self.apply_seconds.observe(took.as_secs_f64());
        SOURCES.iter().for_each(|known| self.source.with_label_values(&[*known]).set(i64::from(*known == source)));
        *self.refused_since.lock() = None;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        self.revision.set(i64::try_from(revision).unwrap_or(i64::MAX));
        self.applied_at.set(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
        self.applied.with_label_values(&["ok"]).inc();
    }

    /// Counts a configuration of the file or the API that was refused.
    pub(super) fn note_refused(&self) {
        self.applied.with_label_values(&["refused"]).inc();
    }

    /// Notes that the file or the operator wants what was refused: it waits to be mended.
    pub(super) fn note_stale(&self) {
        self.refused_since.lock().get_or_insert_with(Instant::now);
    }

    /// Notes that the file wants what is in force again.
    pub(super) fn note_current(&self) {
        *self.refused_since.lock() = None;
    }
}

/// Tells for how long a newer configuration waits to be mended.
struct StaleCollector {
    refused_since: Arc<Mutex<Option<Instant>>>,
    stale: Gauge,
}

impl StaleCollector {
    fn new(refused_since: Arc<Mutex<Option<Instant>>>) -> prometheus::Result<Self> {
        let help = "Seconds since what the file or the operator wants was refused; 0 while it is in force.";
        Ok(Self { refused_since, stale: Gauge::new("wovenet_agent_config_stale_seconds", help)? })
    }
}

impl Collector for StaleCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.stale.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.stale.set(self.refused_since.lock().map_or(0.0, |since| since.elapsed().as_secs_f64()));
        self.stale.collect()
    }
}

/// Reads the process's own figures when they are asked for.
struct ProcessCollector {
    open_files: IntGauge,
    open_files_max: IntGauge,
    resident: IntGauge,
}

impl ProcessCollector {
    fn new() -> prometheus::Result<Self> {
        Ok(Self {
            open_files: IntGauge::new("wovenet_agent_fd_open", "Open file descriptors; each stream takes one.")?,
            open_files_max: IntGauge::new("wovenet_agent_fd_max", "The process's limit of open file descriptors.")?,
            resident: IntGauge::new("wovenet_agent_resident_memory_bytes", "Resident memory of the process.")?,
        })
    }
}

impl Collector for ProcessCollector {
    fn desc(&self) -> Vec<&Desc> {
        [&self.open_files, &self.open_files_max, &self.resident].into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.open_files.set(open_files().unwrap_or(-1));
        self.open_files_max.set(open_files_max().unwrap_or(-1));
        self.resident.set(resident_bytes().unwrap_or(-1));
        [&self.open_files, &self.open_files_max, &self.resident].into_iter().flat_map(Collector::collect).collect()
    }
}

fn open_files() -> Option<i64> {
    i64::try_from(std::fs::read_dir("/proc/self/fd").ok()?.count()).ok()
}

fn open_files_max() -> Option<i64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find(|line| line.starts_with("Max open files"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<i64>().ok()? * 1024)
}
