//! An agent as a process, with its own home directory.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{Process, sibling};

/// An agent's files and, while it runs, its process.
#[derive(Debug)]
pub struct Agent {
    name: String,
    directory: PathBuf,
    process: Option<Process>,
}

impl Agent {
    /// Writes the configuration into a directory of its own below `parent`.
    ///
    /// # Errors
    /// The system's error.
    pub fn new(parent: &Path, name: &str, configuration: &str) -> anyhow::Result<Self> {
        let directory = parent.join(name);
        std::fs::create_dir_all(&directory)?;
        let agent = Self { name: name.to_owned(), directory, process: None };
        agent.configure(configuration)?;
        Ok(agent)
    }

    /// Replaces the configuration file.
    ///
    /// # Errors
    /// The system's error.
    pub fn configure(&self, configuration: &str) -> anyhow::Result<()> {
        Ok(std::fs::write(self.configuration(), configuration)?)
    }

    /// Returns the configuration file.
    pub fn configuration(&self) -> PathBuf {
        self.directory.join("config.yaml")
    }

    /// Returns the agent's name in the test.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Starts the agent.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&mut self) -> anyhow::Result<()> {
        self.start_with(Command::new(sibling("wovenet-agent")?))
    }

    /// Starts the agent with a command that runs its program, as inside a network namespace.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_with(&mut self, mut command: Command) -> anyhow::Result<()> {
        command.args(["run", "--config"]).arg(self.configuration()).env("HOME", &self.directory);
        command.current_dir(&self.directory);
        // An earlier process ends before it is replaced: the two would share files.
        self.process = None;
        self.process = Some(Process::start(command, &self.directory.join("agent.log"))?);
        Ok(())
    }

    /// Returns a command of the agent's program that works on its files, such as `status`.
    ///
    /// # Errors
    /// When the program was not built.
    pub fn command(&self, name: &str) -> anyhow::Result<Command> {
        let mut command = Command::new(sibling("wovenet-agent")?);
        command.arg(name).arg("--config").arg(self.configuration());
        command.env("HOME", &self.directory).current_dir(&self.directory);
        Ok(command)
    }

    /// Returns the directory of all its files.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the running process.
    ///
    /// # Errors
    /// When it was not started.
    pub fn process(&mut self) -> anyhow::Result<&mut Process> {
        self.process.as_mut().ok_or_else(|| anyhow::anyhow!("{} was not started", self.name))
    }

    /// Returns everything that it logged, over all starts.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("agent.log")).unwrap_or_default()
    }
}
