//! The agent's own log, and the hook that sees every panic.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt, reload};
use wovenet_config::logger::{Format, Level, Logger};

/// Overrides the level for single modules, in the syntax of `tracing-subscriber`, for people who debug the agent.
pub const FILTER_VARIABLE: &str = "WOVENET_LOG";

/// The target of the audit log, which is written whatever the level.
pub const AUDIT_TARGET: &str = "audit";

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The log file cannot be opened.
    #[error("cannot open the log file {path}: {source}")]
    File {
        /// The configured path.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A log was set up before.
    #[error("the log is already set up")]
    Twice,
}

type Reload = reload::Handle<EnvFilter, tracing_subscriber::Registry>;

/// Changes the level of the running log.
#[derive(Clone, Debug)]
pub struct LevelHandle(Reload);

impl LevelHandle {
    /// Takes a new level. Errors cannot happen while the log lives, which is as long as the process.
    pub fn set(&self, level: Level) {
        self.0.reload(filter(level)).ok();
    }
}

/// Sets up the process's log.
///
/// # Errors
/// [`TelemetryError`] when the file cannot be opened or a log exists already.
pub fn start(logger: &Logger) -> Result<LevelHandle, TelemetryError> {
    let (filter, handle) = reload::Layer::new(filter(logger.level));
    let terminal = logger.file.is_none() && io::IsTerminal::is_terminal(&io::stdout());
    let writer = match &logger.file {
        None => BoxMakeWriter::new(io::stdout),
        Some(path) => BoxMakeWriter::new(Arc::new(open(path)?)),
    };
    let lines = fmt::layer().with_writer(writer).with_ansi(terminal);
    let lines = match logger.format {
        Format::Text => lines.boxed(),
        Format::Json => lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines).try_init().map_err(|_| TelemetryError::Twice)?;
    Ok(LevelHandle(handle))
}

/// Opens a log file for appending; its directory is made when it does not exist.
///
/// # Errors
/// [`TelemetryError::File`] with the path and the system's reason.
pub fn open(path: &Path) -> Result<File, TelemetryError> {
    let failed = |source| TelemetryError::File { path: path.to_owned(), source };
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        std::fs::create_dir_all(directory).map_err(failed)?;
    }
    OpenOptions::new().create(true).append(true).open(path).map_err(failed)
}

/// Counts and logs every panic of the process. A panic is always a bug; it ends one task and nothing else.
///
/// # Errors
/// The registry's, when the metric is registered twice.
pub fn watch_panics(registry: &prometheus::Registry) -> prometheus::Result<()> {
    let panics = prometheus::IntCounter::new("wovenet_agent_panics_total", "Panics of any task: always a bug.")?;
    registry.register(Box::new(panics.clone()))?;
    std::panic::set_hook(Box::new(move |panic| {
        panics.inc();
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or("no message");
        tracing::error!(place, message, "a task panicked: please report this");
    }));
    Ok(())
}

fn filter(level: Level) -> EnvFilter {
    let level = match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    };
    let ours = format!("warn,wovenet_agent={level},wovenet_config={level},{AUDIT_TARGET}=info");
    match std::env::var(FILTER_VARIABLE) {
        Ok(directives) if !directives.is_empty() => EnvFilter::new(format!("{ours},{directives}")),
        _ => EnvFilter::new(ours),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_audit_log_is_written_whatever_the_level() {
        for level in [Level::Error, Level::Warn, Level::Info, Level::Debug] {
            let log = tracing_subscriber::registry().with(filter(level));
            tracing::subscriber::with_default(log, || {
                assert!(tracing::enabled!(target: AUDIT_TARGET, tracing::Level::INFO), "{level:?}");
            });
        }
    }
}
