//! An agent's log in JSON, line by line.

use std::time::Duration;

use serde_json::Value;

use crate::agent::Agent;
use crate::until::{PATIENCE, until};

/// One line of an agent's log.
#[derive(Clone, Debug)]
pub struct Line(Value);

impl Line {
    /// Returns its constant message.
    pub fn message(&self) -> &str {
        self.0["message"].as_str().unwrap_or_default()
    }

    /// Returns a field as text, empty when it has none of the name.
    pub fn field(&self, name: &str) -> String {
        match &self.0[name] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }
}

/// Returns the lines so far with this message, from line `from` on.
pub fn lines(agent: &Agent, from: usize, message: &str) -> Vec<Line> {
    let log = agent.log();
    let parsed = log.lines().skip(from).filter_map(|line| serde_json::from_str(line).ok().map(Line));
    parsed.filter(|line| line.message() == message).collect()
}

/// Returns how many lines there are: where what follows begins.
pub fn length(agent: &Agent) -> usize {
    agent.log().lines().count()
}

/// Waits until the log tells `message` from line `from` on, and returns that line with the time that it took.
///
/// # Errors
/// When it does not within [`PATIENCE`]; the error holds the log.
pub fn wait_for(
    agent: &Agent,
    from: usize,
    message: &str,
    fits: impl Fn(&Line) -> bool,
) -> anyhow::Result<(Line, Duration)> {
    let what = format!("{} logs {message:?}", agent.name());
    let waited = until(&what, PATIENCE, || lines(agent, from, message).into_iter().find(|line| fits(line)));
    waited.map_err(|error| error.context(format!("the log of {}:\n{}", agent.name(), agent.log())))
}
