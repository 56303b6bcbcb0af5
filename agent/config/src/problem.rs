//! What is wrong with a configuration: where, how bad, and what would be right.

use std::fmt;

/// The longest piece of a value that a message repeats, in characters.
const SHOWN_MAX_CHARS: usize = 60;

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// The configuration works, but perhaps not as meant.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// A place in a person's file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// The file as it was named by the caller.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
}

/// One thing that is wrong, or doubtful, in a configuration. It never holds a secret.
///
/// Displayed as one line: `FILE:LINE: error: path: message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where in a person's file; `None` for the operator's document.
    pub location: Option<Location>,
    /// How bad it is.
    pub severity: Severity,
    /// Which key, as in `localExposedApps[2].appSocket`; empty when it is the document as a whole.
    pub path: String,
    /// What is wrong and what would be right, on one line.
    pub message: String,
}

impl Problem {
    /// Makes an error about the key `path`.
    pub fn error(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { location: None, severity: Severity::Error, path: path.into(), message: message.into() }
    }

    /// Makes a warning about the key `path`.
    pub fn warning(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(path, message) }
    }

    /// Tells the line, where it is better known than from the path; [`crate::load()`] adds the file.
    pub(crate) fn at_line(mut self, line: usize) -> Self {
        self.location = Some(Location { file: String::new(), line });
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Location { file, line }) = &self.location {
            write!(f, "{file}:{line}: ")?;
        }
        write!(f, "{}: ", self.severity)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// Quotes a value for a message: one line, escaped, cut when long.
pub fn shown(value: &str) -> String {
    match value.char_indices().nth(SHOWN_MAX_CHARS) {
        Some((end, _)) => format!("{:?}…", &value[..end]),
        None => format!("{value:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_located_problem_is_one_line_with_file_line_severity_path_and_message() {
        let mut problem = Problem::error("remoteApps[0].localSocket", "is bad");
        problem.location = Some(Location { file: "config.yaml".into(), line: 7 });
        assert_eq!(problem.to_string(), "config.yaml:7: error: remoteApps[0].localSocket: is bad");
    }

    #[test]
    fn a_problem_without_place_or_path_has_neither() {
        assert_eq!(Problem::warning("", "is odd").to_string(), "warning: is odd");
    }

    #[test]
    fn shown_values_stay_on_one_line_and_are_cut() {
        assert_eq!(shown("a\nb"), r#""a\nb""#);
        assert_eq!(shown(&"é".repeat(61)), format!("\"{}\"…", "é".repeat(60)));
    }
}
