//! One network namespace.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context;

/// What all names begin with; the process id follows.
const PREFIX: &str = "wovenet-test-";
/// Where iproute2 keeps named namespaces.
const DIRECTORY: &str = "/run/netns";

/// A network namespace with loopback up. It is removed when its last clone is dropped.
#[derive(Clone, Debug)]
pub struct Namespace {
    name: Arc<Name>,
}

/// The system's name of a namespace, which is removed with it.
#[derive(Debug)]
struct Name(String);

impl Namespace {
    /// Makes an empty namespace.
    ///
    /// # Errors
    /// When the system refuses, as without root.
    pub fn new(label: &str) -> anyhow::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}-{label}", std::process::id());
        run(Command::new("ip").args(["netns", "add", &name]), "")?;
        let namespace = Self { name: Arc::new(Name(name)) };
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// Removes the namespaces of processes that no longer run, with whatever still runs inside.
    pub fn remove_abandoned() {
        for entry in std::fs::read_dir(DIRECTORY).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
            if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
                end_processes(&name);
                delete(&name);
            }
        }
    }

    /// Returns the system's name for it.
    pub fn name(&self) -> &str {
        &self.name.0
    }

    /// Returns a command that runs `program` inside. The process is that program itself, as `ip` replaces itself.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", self.name()]).arg(program);
        command
    }

    /// Runs commands of ip(8) inside, one a line.
    ///
    /// # Errors
    /// When one of them fails.
    pub fn ip(&self, commands: &str) -> anyhow::Result<()> {
        run(Command::new("ip").args(["-n", self.name(), "-batch", "-"]), commands).map(drop)
    }

    /// Runs a script of nft(8) inside.
    ///
    /// # Errors
    /// When it is refused.
    pub fn nft(&self, script: &str) -> anyhow::Result<()> {
        run(self.command("nft").args(["-f", "-"]), script).map(drop)
    }

    /// Returns the bytes that a named counter of the table `inet faults` has seen.
    ///
    /// # Errors
    /// When there is no such counter.
    pub fn counted_bytes(&self, counter: &str) -> anyhow::Result<u64> {
        let listed = run(self.command("nft").args(["-j", "list", "counter", "inet", "faults", counter]), "")?;
        let listed: serde_json::Value = serde_json::from_str(&listed)?;
        let objects = listed["nftables"].as_array().context("nft lists nothing")?;
        objects.iter().find_map(|object| object["counter"]["bytes"].as_u64()).context("nft counts nothing")
    }

    /// Adds rules to the chains `input` and `output` of the table `inet faults`, one a line, before every other.
    ///
    /// # Errors
    /// When one is refused.
    pub fn fault(&self, rules: &str) -> anyhow::Result<()> {
        let mut script = String::from(
            "add table inet faults\n\
             add chain inet faults input { type filter hook input priority -300; }\n\
             add chain inet faults output { type filter hook output priority -300; }\n",
        );
        for rule in rules.lines().map(str::trim).filter(|rule| !rule.is_empty()) {
            let rule = match rule.strip_prefix("counter ") {
                Some(name) => format!("add counter inet faults {name}\n"),
                None => format!("add rule inet faults {rule}\n"),
            };
            script.push_str(&rule);
        }
        self.nft(&script)
    }

    /// Takes every rule of [`Namespace::fault`] away.
    ///
    /// # Errors
    /// When there was none.
    pub fn heal(&self) -> anyhow::Result<()> {
        self.nft("delete table inet faults\n")
    }

    /// Sets a value of sysctl(8) inside, by its path below /proc/sys.
    ///
    /// # Errors
    /// When the kernel does not know it.
    pub fn sysctl(&self, path: &str, value: &str) -> anyhow::Result<()> {
        run(self.command("tee").arg(format!("/proc/sys/{path}")), value).map(drop)
    }

    /// Plugs an interface of this namespace into a bridge of another one.
    ///
    /// # Errors
    /// The system's error.
    pub fn plug(&self, interface: &str, switch: &Namespace, bridge: &str, port: &str) -> anyhow::Result<()> {
        switch.ip(&format!(
            "link add {port} type veth peer name {interface} netns {name}\n\
             link set {port} master {bridge}\n\
             link set {port} up\n",
            name = self.name()
        ))?;
        self.ip(&format!("link set {interface} up"))
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        delete(&self.0);
    }
}

fn end_processes(name: &str) {
    let inside = run(Command::new("ip").args(["netns", "pids", name]), "").unwrap_or_default();
    for process in inside.split_whitespace() {
        // It may have ended meanwhile.
        Command::new("kill").args(["-s", "KILL", process]).stderr(Stdio::null()).status().ok();
    }
}

fn delete(name: &str) {
    // Without it nothing is left to be removed.
    Command::new("ip").args(["netns", "del", name]).stderr(Stdio::null()).status().ok();
}

/// Runs a command with `input` to its end and returns its output.
fn run(command: &mut Command, input: &str) -> anyhow::Result<String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
    child.stdin.take().context("no standard input")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{command:?} with {input:?}: {}", errors.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
