//! A host of the test's network, and the programs that run on it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Namespace, TestPeer};
use crate::agent::Agent;
use crate::process::{Process, sibling};
use crate::until::PATIENCE;

/// A namespace with a name and a place for its logs.
#[derive(Debug)]
pub struct Host {
    namespace: Namespace,
    name: String,
    directory: PathBuf,
}

impl Host {
    pub(super) fn new(namespace: Namespace, name: &str, directory: &Path) -> anyhow::Result<Self> {
        let directory = directory.join(name);
        std::fs::create_dir_all(&directory)?;
        Ok(Self { namespace, name: name.to_owned(), directory })
    }

    /// Returns its namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Returns the host's directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns a command that runs a program built beside this one on the host.
    ///
    /// # Errors
    /// When it was not built.
    pub fn program(&self, name: &str) -> anyhow::Result<Command> {
        Ok(self.namespace.command(sibling(name)?))
    }

    /// Starts any program on the host, with its output in a file of the host's directory.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self, program: &str, arguments: &[&str]) -> anyhow::Result<Process> {
        let mut command = self.namespace.command(program);
        command.args(arguments);
        Process::start(command, &self.log_file(program.rsplit('/').next().unwrap_or(program)))
    }

    /// Makes an agent of the host without starting it.
    ///
    /// # Errors
    /// The system's error.
    pub fn agent(&self, configuration: &str) -> anyhow::Result<Agent> {
        Agent::new(&self.directory, &self.name, configuration)
    }

    /// Starts an agent on the host, at first or again.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_agent(&self, agent: &mut Agent) -> anyhow::Result<()> {
        agent.start_with(self.program("wovenet-agent")?)
    }

    /// Makes an agent and starts it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run_agent(&self, configuration: &str) -> anyhow::Result<Agent> {
        let mut agent = self.agent(configuration)?;
        self.start_agent(&mut agent)?;
        Ok(agent)
    }

    /// Starts a test peer on the host; `arguments` as of `wovenet-test-peer`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn peer(&self, arguments: &[&str]) -> anyhow::Result<TestPeer> {
        let mut command = self.program("wovenet-test-peer")?;
        command.args(arguments);
        let name = arguments.first().copied().unwrap_or("peer");
        Ok(TestPeer::new(name, Process::start(command, &self.log_file(name))?))
    }

    /// Starts a server of the test peer, and waits until it takes clients.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn serve(&self, kind: &str, socket: &str, arguments: &[&str]) -> anyhow::Result<TestPeer> {
        let server = self.peer(&[&[kind, "--listen", socket], arguments].concat())?;
        server.wait_for("listening")?;
        Ok(server)
    }

    /// Runs a client of the test peer to its end, and returns the last event that it told.
    ///
    /// # Errors
    /// When it does not end in time or tells nothing.
    pub fn ask(&self, arguments: &[&str]) -> anyhow::Result<super::Event> {
        let mut client = self.peer(arguments)?;
        client.process().wait(PATIENCE)?;
        client.events().pop().ok_or_else(|| anyhow::anyhow!("{arguments:?} told nothing"))
    }

    /// Waits until a socket takes connections of this host.
    ///
    /// # Errors
    /// When it does not within [`PATIENCE`].
    pub fn reach(&self, socket: &str) -> anyhow::Result<()> {
        let event = self.ask(&["reach", "--to", socket, "--limit-ms", &PATIENCE.as_millis().to_string()])?;
        anyhow::ensure!(event.outcome() == "ok", "{} does not reach {socket}: {event:?}", self.name);
        Ok(())
    }

    fn log_file(&self, program: &str) -> PathBuf {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        self.directory.join(format!("{program}-{}.log", NEXT.fetch_add(1, Ordering::Relaxed)))
    }
}
