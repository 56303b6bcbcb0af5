//! What is logged, how and where.

use std::path::PathBuf;

/// Settings of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Logger {
    /// The least severe level that is written.
    pub level: Level,
    /// Text or JSON lines.
    pub format: Format,
    /// Appended to; `None` is standard output.
    pub file: Option<PathBuf>,
}

/// Log levels by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// Something was given up.
    Error,
    /// Something is degraded.
    Warn,
    /// Changes that an operator cares about.
    #[default]
    Info,
    /// Decisions.
    Debug,
    /// Steps.
    Trace,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}
