//! A running `wovenet-test-peer`, and the events that it tells.

use std::time::Duration;

use serde_json::Value;

use crate::process::Process;
use crate::until::{PATIENCE, until};

/// A client or server of a test, as a process inside a namespace.
#[derive(Debug)]
pub struct TestPeer {
    name: String,
    process: Process,
}

/// One line that a test peer told.
#[derive(Clone, Debug)]
pub struct Event(Value);

impl TestPeer {
    pub(super) fn new(name: &str, process: Process) -> Self {
        Self { name: name.to_owned(), process }
    }

    /// Returns the process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Returns all events so far.
    pub fn events(&self) -> Vec<Event> {
        let output = self.process.output();
        output.lines().filter_map(|line| serde_json::from_str(line).ok().map(Event)).collect()
    }

    /// Returns the events of a kind so far.
    pub fn of_kind(&self, kind: &str) -> Vec<Event> {
        self.events().into_iter().filter(|event| event.kind() == kind).collect()
    }

    /// Waits for the first event of a kind.
    ///
    /// # Errors
    /// When none comes within [`PATIENCE`]; the error holds all that was told.
    pub fn wait_for(&self, kind: &str) -> anyhow::Result<Event> {
        self.wait_until(&format!("an event {kind}"), |events| events.iter().find(|event| event.kind() == kind).cloned())
    }

    /// Waits until `condition` yields something of the events so far.
    ///
    /// # Errors
    /// When it yields nothing within [`PATIENCE`]; the error holds all that was told.
    pub fn wait_until<T>(&self, what: &str, mut condition: impl FnMut(&[Event]) -> Option<T>) -> anyhow::Result<T> {
        let waited = until(what, PATIENCE, || condition(&self.events()));
        let (value, _) =
            waited.map_err(|error| error.context(format!("{} told: {}", self.name, self.process.output())))?;
        Ok(value)
    }
}

impl Event {
    /// Returns what kind of event it is.
    pub fn kind(&self) -> &str {
        self.0["event"].as_str().unwrap_or_default()
    }

    /// Returns how it went: `ok`, `fin`, `reset`, `refused`, `timeout`, `wrong` or an error's text.
    pub fn outcome(&self) -> &str {
        self.0["outcome"].as_str().unwrap_or_default()
    }

    /// Returns the text that came with it.
    pub fn text(&self) -> &str {
        self.0["text"].as_str().unwrap_or_default()
    }

    /// Returns a number that came with it, 0 when there was none.
    pub fn number(&self, name: &str) -> u64 {
        self.0[name].as_u64().unwrap_or_default()
    }

    /// Returns when it began, in milliseconds since 1970.
    pub fn began(&self) -> u64 {
        self.number("at_ms")
    }

    /// Returns how long it took.
    pub fn took(&self) -> Duration {
        Duration::from_millis(self.number("ms"))
    }
}
