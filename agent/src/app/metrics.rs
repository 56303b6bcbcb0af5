//! Metrics of the agent as a whole: its configuration, its readiness and its process.

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// Metrics of the supervisor, all with the prefix `wovenet_agent_`.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    pub(super) revision: IntGauge,
    pub(super) applied_at: IntGauge,
    applied: IntCounterVec,
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
        Ok(Self {
            revision: gauge("config_revision", "Revision of the configuration in force; 0 for a person's file.")?,
            applied_at: gauge(
                "config_applied_timestamp_seconds",
                "When the configuration in force was applied, as seconds since 1970.",
            )?,
            applied,
            ready: gauge("ready", "1 once the agent is ready, as /readyz tells.")?,
        })
    }

    pub(super) fn note_applied(&self, revision: u64) {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        self.revision.set(i64::try_from(revision).unwrap_or(i64::MAX));
        self.applied_at.set(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
        self.applied.with_label_values(&["ok"]).inc();
    }

    /// Counts a configuration of the file or the API that was refused.
    pub(super) fn note_refused(&self) {
        self.applied.with_label_values(&["refused"]).inc();
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
