//! The operator's metrics, prefix `wovenet_operator_`.

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// Every metric.
#[derive(Clone)]
pub struct Metrics {
    /// Where they are registered.
    pub registry: Registry,
    /// Whether this replica is the leader.
    pub leader: IntGauge,
    /// Rounds of judging and applying.
    pub rounds: IntCounter,
    /// How long a round takes.
    pub round_seconds: Histogram,
    /// Writes of objects, by kind.
    pub writes: IntCounterVec,
    /// Writes that failed, by kind.
    pub write_failures: IntCounterVec,
    /// Errors of watches, by kind.
    pub watch_errors: IntCounterVec,
    /// Objects by kind and whether they are ready.
    pub objects: IntGaugeVec,
    /// Objects that cannot be read, by kind.
    pub unreadable: IntGaugeVec,
    /// Agents by Site and state.
    pub agents: IntGaugeVec,
    /// The revision of each Site's configuration.
    pub config_revision: IntGaugeVec,
    /// The size of each Site's configuration.
    pub config_bytes: IntGaugeVec,
    /// Listener ports in use, by Site.
    pub ports_used: IntGaugeVec,
    /// Panics of tasks.
    pub panics: IntCounter,
}

impl Metrics {
    /// Registers every metric.
    ///
    /// # Errors
    /// When one is registered twice.
    pub fn register() -> prometheus::Result<Self> {
        let registry = Registry::new_custom(Some("wovenet_operator".to_owned()), None)?;
        let metrics = Self {
            leader: IntGauge::new("leader", "1 on the replica that writes, else 0")?,
            rounds: IntCounter::new("reconcile_total", "Rounds of judging and applying everything")?,
            round_seconds: Histogram::with_opts(
                HistogramOpts::new("reconcile_duration_seconds", "Seconds of a round")
                    .buckets(vec![0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0]),
            )?,
            writes: by("writes_total", "Objects written; stands still while nothing changes", &["kind"])?,
            write_failures: by("write_failures_total", "Writes of objects that failed", &["kind"])?,
            watch_errors: by("watch_errors_total", "Watches that broke off with an error", &["kind"])?,
            objects: gauges("resources", "Objects, by whether their condition Ready is true", &["kind", "ready"])?,
            unreadable: gauges("unreadable_resources", "Objects that cannot be read: see the log", &["kind"])?,
            agents: gauges("agents", "Agents of a Site, by state: known, heard or current", &["site", "state"])?,
            config_revision: gauges("config_revision", "Revision of a Site's configuration", &["site"])?,
            config_bytes: gauges("config_bytes", "Size of a Site's configuration", &["site"])?,
            ports_used: gauges("port_pool_used", "Listener ports of a Site in use", &["site"])?,
            panics: IntCounter::new("task_panics_total", "Tasks that panicked: report this")?,
            registry,
        };
        metrics.register_all()?;
        Ok(metrics)
    }

    /// Drops the series of all Sites, as some may be gone; those that are there are set anew.
    pub fn forget_sites(&self) {
        for gauges in [&self.agents, &self.config_revision, &self.config_bytes, &self.ports_used] {
            gauges.reset();
        }
    }

    fn register_all(&self) -> prometheus::Result<()> {
        let build = gauges("build_info", "1; the version is a label", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let registry = &self.registry;
        registry.register(Box::new(build))?;
        registry.register(Box::new(self.leader.clone()))?;
        registry.register(Box::new(self.rounds.clone()))?;
        registry.register(Box::new(self.round_seconds.clone()))?;
        registry.register(Box::new(self.panics.clone()))?;
        for counters in [&self.writes, &self.write_failures, &self.watch_errors] {
            registry.register(Box::new(counters.clone()))?;
        }
        let of_sites = [&self.agents, &self.config_revision, &self.config_bytes, &self.ports_used];
        for gauges in of_sites.into_iter().chain([&self.objects, &self.unreadable]) {
            registry.register(Box::new(gauges.clone()))?;
        }
        Ok(())
    }
}

fn by(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
    IntCounterVec::new(Opts::new(name, help), labels)
}

fn gauges(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
    IntGaugeVec::new(Opts::new(name, help), labels)
}
