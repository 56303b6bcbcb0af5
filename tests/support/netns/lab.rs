//! The network of one test: a switch that plays the internet, and what is plugged into it.

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::TempDir;

use super::{Gateway, Host, Namespace};
use crate::broker::Broker;

/// The networks of the internet: those reserved for documentation, so that files of examples/ run unchanged.
const NETWORKS: [&str; 4] = ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"];
/// Where the broker is.
const BROKER: &str = "192.0.2.1:1883";
/// How much of each agent's log a failed test shows.
const SHOWN_LINES: usize = 80;
/// Measured bounds mean little while another test keeps the processors busy.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The network of one test; everything is removed when it is dropped.
pub struct Lab {
    internet: Namespace,
    directory: TempDir,
    ports: Cell<u32>,
    _turn: MutexGuard<'static, ()>,
}

impl Lab {
    /// Makes an internet without hosts, after the test before it has ended.
    ///
    /// # Errors
    /// When the system refuses, as without root.
    pub fn new() -> anyhow::Result<Self> {
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        Namespace::remove_abandoned();
        let internet = Namespace::new("internet")?;
        internet.ip("link add switch type bridge stp_state 0 mcast_snooping 0\nlink set switch up")?;
        Ok(Self { internet, directory: directory()?, ports: Cell::new(0), _turn: turn })
    }

    /// Returns where the test keeps its files.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Makes a host that is directly on the internet.
    ///
    /// # Errors
    /// The system's error.
    pub fn public_host(&self, name: &str, addresses: &[&str]) -> anyhow::Result<Host> {
        let namespace = Namespace::new(name)?;
        self.connect(&namespace, addresses)?;
        Host::new(namespace, name, self.directory())
    }

    /// Makes a NAT gateway with an inner network. `lan` is the gateway's inner address with its prefix length.
    ///
    /// # Errors
    /// The system's error.
    pub fn gateway(&self, name: &str, addresses: &[&str], lan: &[&str]) -> anyhow::Result<Gateway> {
        let namespace = Namespace::new(name)?;
        self.connect(&namespace, addresses)?;
        Gateway::new(namespace, lan, self.directory())
    }

    /// Starts the broker on a host of its own, 192.0.2.1.
    ///
    /// # Errors
    /// When it does not start.
    pub fn broker(&self) -> anyhow::Result<(Host, Broker)> {
        let address: SocketAddr = BROKER.parse()?;
        let host = self.public_host("broker", &[&address.ip().to_string(), "2001:db8::b"])?;
        let broker = self.start_broker(&host)?;
        Ok((host, broker))
    }

    /// Starts the broker, again after it was killed.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_broker(&self, host: &Host) -> anyhow::Result<Broker> {
        let broker = Broker::start_with(
            host.program("wovenet-test-broker")?,
            self.directory(),
            SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, 1883)),
        )?;
        host.reach(&format!("tcp:{BROKER}"))?;
        Ok(broker)
    }

    fn connect(&self, namespace: &Namespace, addresses: &[&str]) -> anyhow::Result<()> {
        let port = self.ports.replace(self.ports.get() + 1);
        namespace.plug("wan", &self.internet, "switch", &format!("port{port}"))?;
        address_internet(namespace, addresses)
    }
}

/// Makes the test's directory in memory where it can be, so that a busy disk stops nobody who logs.
fn directory() -> std::io::Result<TempDir> {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())
}

#[allow(clippy::print_stderr, reason = "a failed test talks to a person")]
impl Drop for Lab {
    /// A failed test shows what the agents logged, as their files go with it.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for host in std::fs::read_dir(self.directory()).into_iter().flatten().flatten() {
            let name = host.file_name();
            let Ok(log) = std::fs::read_to_string(host.path().join(&name).join("agent.log")) else { continue };
            // There is a line for each client, and thousands of clients.
            let lines: Vec<&str> = log.lines().filter(|line| !line.contains("stream ended")).collect();
            let shown = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
            eprintln!("--- the end of the log of {}\n{}", name.display(), shown.join("\n"));
        }
    }
}

/// Gives the outer interface these addresses, and routes for the families that they belong to.
pub(super) fn address_internet(namespace: &Namespace, addresses: &[&str]) -> anyhow::Result<()> {
    let mut commands = String::new();
    let mut families = [false, false];
    for address in addresses {
        let ipv6 = address.parse::<IpAddr>()?.is_ipv6();
        families[usize::from(ipv6)] = true;
        let whole = if ipv6 { "128 dev wan nodad" } else { "32 dev wan" };
        commands.push_str(&format!("addr add {address}/{whole}\n"));
    }
    for network in NETWORKS {
        if families[usize::from(network.contains(':'))] {
            commands.push_str(&format!("route replace {network} dev wan\n"));
        }
    }
    namespace.ip(&commands)
}
