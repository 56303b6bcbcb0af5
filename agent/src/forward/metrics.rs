//! The metrics of forwarding. Handles are resolved once for each app and role; the series go with the last holder.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prometheus::{
    Counter, CounterVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry,
};

/// Upper bounds in seconds, from a local app to the longest dial.
const SECONDS_BUCKETS: [f64; 9] = [0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0, 10.0];
/// Upper bounds of the life of a stream, in seconds: a request, a session, a day.
const LIFE_BUCKETS: [f64; 7] = [0.01, 0.1, 1.0, 10.0, 100.0, 3_600.0, 86_400.0];
/// The app label of streams whose app is not configured here. No app can have this name.
const NO_APP: &str = "";

/// Which side of an app an agent plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Dials the app for other sites.
    Exposed,
    /// Accepts clients here.
    Remote,
}

impl Role {
    fn label(self) -> &'static str {
        match self {
            Self::Exposed => "exposed",
            Self::Remote => "remote",
        }
    }
}

/// How a stream ended, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamResult {
    Ok,
    Refused,
    Failed,
    Busy,
    Timeout,
    NoPath,
    Reset,
}

impl StreamResult {
    const ALL: [Self; 7] =
        [Self::Ok, Self::Refused, Self::Failed, Self::Busy, Self::Timeout, Self::NoPath, Self::Reset];

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Busy => "busy",
            Self::Timeout => "timeout",
            Self::NoPath => "no_path",
            Self::Reset => "reset",
        }
    }
}

/// All metric families of forwarding.
pub(super) struct Metrics {
    families: Families,
    apps: Mutex<BTreeMap<(Role, String), Weak<AppMetrics>>>,
    pub(super) connect_ok: Histogram,
    pub(super) connect_failed: Histogram,
    pub(super) connect_timeout: Histogram,
    pub(super) task_panics: IntCounter,
    refused_without_app: IntCounter,
}

struct Families {
    open: IntGaugeVec,
    streams: IntCounterVec,
    bytes: IntCounterVec,
    open_seconds: HistogramVec,
    life_seconds: HistogramVec,
    backpressure: CounterVec,
    accept_errors: IntCounterVec,
    listener_up: IntGaugeVec,
    bind_failures: IntCounterVec,
}

/// The handles of one app in one role.
pub(super) struct AppMetrics {
    owner: Weak<Metrics>,
    role: Role,
    app: String,
    pub(super) open: IntGauge,
    pub(super) rx: IntCounter,
    pub(super) tx: IntCounter,
    pub(super) open_seconds: Histogram,
    life_seconds: Histogram,
    /// Seconds that streams waited for the local end to take more.
    pub(super) rx_waits: Counter,
    /// The same for the tunnel.
    pub(super) tx_waits: Counter,
    results: [IntCounter; StreamResult::ALL.len()],
    pub(super) listener: Option<ListenerMetrics>,
}

/// The handles that only a local socket has.
pub(super) struct ListenerMetrics {
    pub(super) up: IntGauge,
    pub(super) bind_failures: IntCounter,
    pub(super) accept_errors: IntCounter,
}

impl Metrics {
    /// Registers every family.
    pub(super) fn register(registry: &Registry) -> Result<Arc<Self>, prometheus::Error> {
        let families = Families::register(registry)?;
        let connect = histogram(
            registry,
            "target_connect_duration_seconds",
            "Time to connect to an exposed app; moves with each dial.",
            &["result"],
            &SECONDS_BUCKETS,
        )?;
        let task_panics = counter(registry, "task_panics_total", "Moves when the task of one stream panicked.", &[])?;
        let refused = [NO_APP, Role::Exposed.label(), StreamResult::Refused.label()];
        Ok(Arc::new(Self {
            refused_without_app: families.streams.with_label_values(&refused),
            families,
            apps: Mutex::default(),
            connect_ok: connect.with_label_values(&["ok"]),
            connect_failed: connect.with_label_values(&["failed"]),
            connect_timeout: connect.with_label_values(&["timeout"]),
            task_panics: task_panics.with_label_values::<&str>(&[]),
        }))
    }

    /// Returns the handles of `app`, shared by all that use the same name in the same role.
    pub(super) fn app(self: &Arc<Self>, role: Role, app: &str) -> Arc<AppMetrics> {
        let mut apps = self.apps.lock();
        let key = (role, app.to_owned());
        if let Some(known) = apps.get(&key).and_then(Weak::upgrade) {
            return known;
        }
        let made = Arc::new(self.families.resolve(Arc::downgrade(self), role, app));
        apps.insert(key, Arc::downgrade(&made));
        made
    }

    /// Counts a refused stream that named no app that is configured here.
    pub(super) fn count_refused_without_app(&self) {
        self.refused_without_app.inc();
    }
}

impl Families {
    fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let bytes_help = "Bytes of app data, rx from the tunnel and tx into it; moves at least every 64 KiB.";
        let open = Opts::new("wovenet_agent_streams_open", "Streams that are open now.");
        let up = Opts::new("wovenet_agent_listener_up", "Local sockets of the app that are bound now.");
        let (open, up) = (IntGaugeVec::new(open, &["app", "role"])?, IntGaugeVec::new(up, &["app"])?);
        registry.register(Box::new(open.clone()))?;
        registry.register(Box::new(up.clone()))?;
        let waits = "Seconds that streams waited to hand on bytes: rx to the local end, tx to the tunnel.";
        let waits = Opts::new("wovenet_agent_backpressure_seconds_total", waits);
        let backpressure = CounterVec::new(waits, &["app", "role", "direction"])?;
        registry.register(Box::new(backpressure.clone()))?;
        Ok(Self {
            open,
            listener_up: up,
            streams: counter(
                registry,
                "streams_total",
                "Moves once for each stream, when it ends.",
                &["app", "role", "result"],
            )?,
            bytes: counter(registry, "bytes_total", bytes_help, &["app", "role", "direction"])?,
            open_seconds: histogram(
                registry,
                "stream_open_duration_seconds",
                "Time from the client or the header to the answer; moves when an app accepted.",
                &["role"],
                &SECONDS_BUCKETS,
            )?,
            life_seconds: histogram(
                registry,
                "stream_duration_seconds",
                "Time from the client or the header to the end of an accepted stream; moves when it ends.",
                &["role"],
                &LIFE_BUCKETS,
            )?,
            backpressure,
            accept_errors: counter(
                registry,
                "accept_errors_total",
                "Moves when the system refuses to accept a client.",
                &["app"],
            )?,
            bind_failures: counter(registry, "listener_bind_failures_total", "Moves with each failed bind.", &["app"])?,
        })
    }

    fn resolve(&self, owner: Weak<Metrics>, role: Role, app: &str) -> AppMetrics {
        let label = role.label();
        let listener = (role == Role::Remote).then(|| ListenerMetrics {
            up: self.listener_up.with_label_values(&[app]),
            bind_failures: self.bind_failures.with_label_values(&[app]),
            accept_errors: self.accept_errors.with_label_values(&[app]),
        });
        AppMetrics {
            owner,
            role,
            app: app.to_owned(),
            open: self.open.with_label_values(&[app, label]),
            rx: self.bytes.with_label_values(&[app, label, "rx"]),
            tx: self.bytes.with_label_values(&[app, label, "tx"]),
            open_seconds: self.open_seconds.with_label_values(&[label]),
            life_seconds: self.life_seconds.with_label_values(&[label]),
            rx_waits: self.backpressure.with_label_values(&[app, label, "rx"]),
            tx_waits: self.backpressure.with_label_values(&[app, label, "tx"]),
            results: StreamResult::ALL.map(|result| self.streams.with_label_values(&[app, label, result.label()])),
            listener,
        }
    }

    /// Removes an app's series. The only error is that a series is already gone.
    fn remove(&self, role: Role, app: &str) {
        let label = role.label();
        self.open.remove_label_values(&[app, label]).ok();
        for direction in ["rx", "tx"] {
            self.bytes.remove_label_values(&[app, label, direction]).ok();
            self.backpressure.remove_label_values(&[app, label, direction]).ok();
        }
        for result in StreamResult::ALL {
            self.streams.remove_label_values(&[app, label, result.label()]).ok();
        }
        if role == Role::Remote {
            self.listener_up.remove_label_values(&[app]).ok();
            self.bind_failures.remove_label_values(&[app]).ok();
            self.accept_errors.remove_label_values(&[app]).ok();
        }
    }
}

impl AppMetrics {
    /// Counts the end of a stream.
    pub(super) fn count(&self, result: StreamResult) {
        self.results[result as usize].inc();
    }

    /// Counts how long a stream lived that an app accepted.
    pub(super) fn count_life(&self, life: Duration) {
        self.life_seconds.observe(life.as_secs_f64());
    }
}

impl Drop for AppMetrics {
    fn drop(&mut self) {
        let Some(owner) = self.owner.upgrade() else { return };
        let mut apps = owner.apps.lock();
        let key = (self.role, std::mem::take(&mut self.app));
        // A successor of the same name may have taken over the series already.
        if apps.get(&key).is_some_and(|entry| entry.strong_count() == 0) {
            apps.remove(&key);
            owner.families.remove(self.role, &key.1);
        }
    }
}

/// Counts the seconds for which it lives.
pub(super) struct Waiting<'a> {
    seconds: &'a Counter,
    since: Instant,
}

impl<'a> Waiting<'a> {
    pub(super) fn new(seconds: &'a Counter) -> Self {
        Self { seconds, since: Instant::now() }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.seconds.inc_by(self.since.elapsed().as_secs_f64());
    }
}

fn counter(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
    let made = IntCounterVec::new(Opts::new(format!("wovenet_agent_{name}"), help), labels)?;
    registry.register(Box::new(made.clone()))?;
    Ok(made)
}

fn histogram(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
    buckets: &[f64],
) -> Result<HistogramVec, prometheus::Error> {
    let options = HistogramOpts::new(format!("wovenet_agent_{name}"), help).buckets(buckets.to_vec());
    let made = HistogramVec::new(options, labels)?;
    registry.register(Box::new(made.clone()))?;
    Ok(made)
}
