//! Two network namespaces with a veth pair between them: clients in one, the application in the other.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use wovenet_tests::process::Process;
use wovenet_tests::until::{PATIENCE, until};

/// Where the application listens, in its namespace.
const APP: &str = "127.0.0.1:9000";
/// Time for the memory of held connections to settle.
const SETTLE: Duration = Duration::from_secs(2);

/// The namespaces; removed when dropped.
pub(crate) struct Topology {
    directory: tempfile::TempDir,
    near: String,
    far: String,
}

impl Topology {
    /// The address of the namespace with the clients.
    pub(crate) const NEAR: &'static str = "10.88.0.1";
    /// The address of the namespace with the application.
    pub(crate) const FAR: &'static str = "10.88.0.2";

    pub(crate) fn build() -> anyhow::Result<Self> {
        let id = std::process::id();
        let topology = Self {
            directory: tempfile::tempdir()?,
            near: format!("wovenet-near-{id}"),
            far: format!("wovenet-far-{id}"),
        };
        let (near, far) = (&topology.near, &topology.far);
        for line in [
            format!("netns add {near}"),
            format!("netns add {far}"),
            format!("link add near netns {near} type veth peer name far netns {far}"),
            format!("-n {near} addr add {}/24 dev near", Self::NEAR),
            format!("-n {far} addr add {}/24 dev far", Self::FAR),
            format!("-n {near} link set near up"),
            format!("-n {far} link set far up"),
            format!("-n {near} link set lo up"),
            format!("-n {far} link set lo up"),
        ] {
            let status = Command::new("ip").args(line.split(' ')).status()?;
            anyhow::ensure!(status.success(), "ip {line} failed");
        }
        Ok(topology)
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Returns a command that runs `program` beside the clients.
    pub(crate) fn near(&self, program: impl Into<PathBuf>) -> Command {
        Self::within(&self.near, program)
    }

    /// Returns a command that runs `program` beside the application.
    pub(crate) fn far(&self, program: impl Into<PathBuf>) -> Command {
        Self::within(&self.far, program)
    }

    fn within(namespace: &str, program: impl Into<PathBuf>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace]).arg(program.into());
        command
    }

    pub(crate) fn start_app(&self) -> anyhow::Result<Process> {
        let mut command = self.far(std::env::current_exe()?);
        command.args(["app", "--listen", APP]);
        Process::start(command, &self.directory().join("app.log"))
    }

    /// Runs a load against `to` and returns the number that it prints.
    pub(crate) fn load(&self, arguments: &[&str], to: SocketAddr, time: Duration) -> anyhow::Result<f64> {
        let mut command = self.near(std::env::current_exe()?);
        command.args(arguments).args(["--to", &to.to_string(), "--seconds", &time.as_secs().to_string()]);
        let output = command.stderr(Stdio::inherit()).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        text.trim().parse().with_context(|| format!("{arguments:?} to {to} gave {text:?}"))
    }

    /// Holds `count` connections to `to` until the returned value is dropped.
    pub(crate) fn hold(&self, to: SocketAddr, count: usize) -> anyhow::Result<Held> {
        let mut command = self.near("sh");
        let program = std::env::current_exe()?;
        command.args(["-c", "ulimit -n \"$(ulimit -Hn)\"; exec \"$0\" hold --to \"$1\" --count \"$2\""]);
        command.arg(program).args([to.to_string(), count.to_string()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let mut line = String::new();
        BufReader::new(output.context("no output")?).read_line(&mut line)?;
        anyhow::ensure!(line.trim() == "held", "cannot hold {count} connections to {to}");
        std::thread::sleep(SETTLE);
        Ok(Held { child, input })
    }

    /// Waits until a connection through `address` reaches the application.
    pub(crate) fn wait_ready(&self, name: &str, address: SocketAddr) -> anyhow::Result<Duration> {
        let try_once = || {
            let mut command = self.near(std::env::current_exe().ok()?);
            command.args(["connects", "--at-once", "1", "--seconds", "0", "--to", &address.to_string()]);
            let mut probe = self.near(std::env::current_exe().ok()?);
            probe.args(["bulk", "--seconds", "0", "--to", &address.to_string()]);
            let output = probe.stderr(Stdio::null()).output().ok()?;
            output.status.success().then_some(())
        };
        Ok(until(&format!("{name} forwards"), PATIENCE, try_once)?.1)
    }
}

impl Drop for Topology {
    fn drop(&mut self) {
        for namespace in [&self.near, &self.far] {
            // Nothing more can be done when it is gone already.
            Command::new("ip").args(["netns", "del", namespace]).status().ok();
        }
    }
}

/// Held connections.
pub(crate) struct Held {
    child: Child,
    input: Option<ChildStdin>,
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.input.take());
        self.child.wait().ok();
    }
}
