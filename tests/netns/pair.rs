//! Two sites on the internet: `office` can be dialled, `home` only dials. Each exposes an echo to the other.

use anyhow::Context;
use wovenet_tests::agent::Agent;
use wovenet_tests::broker::Broker;
use wovenet_tests::log;
use wovenet_tests::netns::{Host, Lab, TestPeer};
use wovenet_tests::until::{PATIENCE, until};

/// The local socket of the other site's echo, at both sites.
pub const LOCAL: &str = "tcp:127.0.0.1:8000";
/// Where the echo is, at both sites.
pub const ECHO: &str = "tcp:127.0.0.1:7000";
/// Logged when a channel is up, and when one is gone.
pub const UP: &str = "data channel is up";
pub const GONE: &str = "data channel is gone";

/// A site with its host.
pub struct Site {
    pub agent: Agent,
    pub echo: TestPeer,
    pub host: Host,
}

/// The two sites and what they need. Fields are dropped in order: processes before their networks.
pub struct Pair {
    pub office: Site,
    pub home: Site,
    pub broker: Broker,
    pub broker_host: Host,
    pub lab: Lab,
}

impl Pair {
    /// Starts both sites with these addresses, and waits until a client of each reaches the other's echo.
    pub fn start(office: &[&str], home: &[&str]) -> anyhow::Result<Self> {
        let mut pair = Self::prepare(office, home, &listening(office))?;
        pair.office.start()?;
        pair.home.start()?;
        pair.home.wait_working()?;
        pair.office.wait_working()?;
        Ok(pair)
    }

    /// As [`Pair::start`] with one IPv4 address each.
    pub fn over_ipv4() -> anyhow::Result<Self> {
        Self::start(&["203.0.113.1"], &["203.0.113.2"])
    }

    /// As [`Pair::start`] with both families at both sites; waits for a channel over each.
    pub fn over_both() -> anyhow::Result<Self> {
        let pair = Self::start(&["203.0.113.1", "2001:db8::1"], &["203.0.113.2", "2001:db8::2"])?;
        for family in ["203.0.113.1:", "[2001:db8::1]:"] {
            log::wait_for(&pair.home.agent, 0, UP, |line| line.field("remote_addr").starts_with(family))?;
        }
        Ok(pair)
    }

    /// Makes both sites without starting an agent; `tunnel` is the office's tunnel section.
    pub fn prepare(office: &[&str], home: &[&str], tunnel: &str) -> anyhow::Result<Self> {
        let lab = Lab::new()?;
        let (broker_host, broker) = lab.broker()?;
        let key = wovenet_agent::peer::mesh_key::generate()?;
        let make = |name: &str, other: &str, addresses: &[&str], tunnel: &str| {
            let host = lab.public_host(name, addresses)?;
            let agent = host.agent(&configuration(name, other, &key, broker_address(addresses), tunnel))?;
            let echo = host.serve("echo", ECHO, &[])?;
            anyhow::Ok(Site { agent, echo, host })
        };
        let office = make("office", "home", office, tunnel)?;
        let home = make("home", "office", home, "")?;
        Ok(Self { office, home, broker, broker_host, lab })
    }

    /// Returns the site to be harmed and the one that sees it.
    pub fn victim_and_witness(&mut self, office_is_victim: bool) -> (&mut Site, &mut Site) {
        if office_is_victim { (&mut self.office, &mut self.home) } else { (&mut self.home, &mut self.office) }
    }
}

impl Site {
    /// Starts the agent, at first or again.
    pub fn start(&mut self) -> anyhow::Result<()> {
        self.host.start_agent(&mut self.agent)
    }

    /// Waits until a new client reaches the other site's echo.
    pub fn wait_working(&self) -> anyhow::Result<()> {
        let clients = self.host.peer(&["connect-loop", "--to", LOCAL])?;
        let working = clients
            .wait_until("a client is served", |events| events.iter().find(|event| event.outcome() == "ok").map(drop));
        working.with_context(|| format!("the log of {}:\n{}", self.agent.name(), self.agent.log()))
    }

    /// Returns how many channels the log says are up.
    pub fn channels(&self) -> usize {
        log::lines(&self.agent, 0, UP).len() - log::lines(&self.agent, 0, GONE).len()
    }

    /// Waits until the log says that this many channels are up.
    pub fn wait_channels(&self, wanted: usize) -> anyhow::Result<()> {
        let waited = until("the channels are up", PATIENCE, || (self.channels() >= wanted).then_some(()));
        waited.map(drop).with_context(|| format!("the log of {}:\n{}", self.agent.name(), self.agent.log()))
    }

    /// Starts clients that never stop to connect.
    pub fn connect_loop(&self, every_ms: u64) -> anyhow::Result<TestPeer> {
        self.host.peer(&["connect-loop", "--to", LOCAL, "--every-ms", &every_ms.to_string()])
    }

    /// Starts to move data through the other site's echo, and waits until it moves.
    pub fn pump(&self, for_ms: u64, every_ms: u64) -> anyhow::Result<TestPeer> {
        let (for_ms, every_ms) = (for_ms.to_string(), every_ms.to_string());
        let pump = self.host.peer(&["pump", "--to", LOCAL, "--for-ms", &for_ms, "--every-ms", &every_ms])?;
        pump.wait_for("progress")?;
        Ok(pump)
    }

    /// Holds connections to the other site's echo.
    pub fn hold(&self, count: usize) -> anyhow::Result<TestPeer> {
        let held = self.host.peer(&["hold", "--to", LOCAL, "--count", &count.to_string()])?;
        held.wait_until("all are held", |events| {
            (events.iter().filter(|event| event.kind() == "held").count() == count).then_some(())
        })?;
        Ok(held)
    }
}

/// Returns the tunnel section of a site that is dialled at these addresses.
pub fn listening(addresses: &[&str]) -> String {
    let sockets: Vec<String> =
        addresses.iter().enumerate().map(|(index, address)| listening_at(address, 51820 + index)).collect();
    format!("tunnel:\n  localSockets:\n{}", sockets.concat())
}

/// Returns one entry of `localSockets`.
pub fn listening_at(address: &str, port: usize) -> String {
    format!(
        "  - mode: dedicated-address\n    transportProtocol: quic\n    publicAddress: {address}\n    \
         publicPort: {port}\n    listenAddress: {address}\n"
    )
}

/// Returns the configuration of a site that exposes its echo to `other` and uses that one's.
pub fn configuration(name: &str, other: &str, key: &str, broker: &str, tunnel: &str) -> String {
    format!(
        "siteName: {name}\n\
         crypto: {{key: {key}}}\n\
         logger: {{level: debug, format: json}}\n\
         messageChannel: {{protocol: mqtt, mqtt: {{brokerServer: \"mqtt://{broker}:1883\"}}}}\n\
         {tunnel}\n\
         localExposedApps:\n\
         - {{appName: echo, appSocket: \"{ECHO}\", allowedSites: \"*\"}}\n\
         remoteApps:\n\
         - {{siteName: {other}, appName: echo, localSocket: \"{LOCAL}\"}}\n"
    )
}

fn broker_address(addresses: &[&str]) -> &'static str {
    if addresses.iter().any(|address| !address.contains(':')) { "192.0.2.1" } else { "[2001:db8::b]" }
}
