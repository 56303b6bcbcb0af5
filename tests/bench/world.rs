//! Two network namespaces with the network of a scene between them: clients in one, the application in the other, and
//! the broker through which agents meet.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use wovenet_tests::link::DEVICE;
use wovenet_tests::netns::Namespace;
use wovenet_tests::process::{Process, sibling};
use wovenet_tests::until::{PATIENCE, until};

use crate::link::Link;
use crate::scene::Scene;
use crate::tunnels::Congestion;

/// Where the application is, seen from its own side.
pub(crate) const APP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), APP_PORT);
const APP_PORT: u16 = 9000;
const BROKER_PORT: u16 = 1883;
/// Addresses of the two sides with their prefix lengths.
const ADDRESSES: [&str; 2] = ["10.99.0.1/24", "10.99.0.2/24"];
const NETWORK: &str = "10.99.0.0/24";
/// Within a side TCP is the same for all tunnels, whatever the machine's default is.
const LOOPBACK: &str =
    "route change local 127.0.0.1 dev lo table local proto kernel scope host src 127.0.0.1 congctl cubic\n";
/// TCP may have as much under way as the agents: the kernel's default would hold it back on a long link.
const TCP_BUFFERS: &str = "4096 131072 67108864";
/// Thousands of connections come from one address.
const CLIENT_PORTS: &str = "10000 65000";

/// A tunnel that has not taken all idle connections by then has no figure.
const HOLD_MAX: Duration = Duration::from_secs(60);

/// Everything that runs in a scene but the tunnels. Dropped, it is gone.
pub(crate) struct World {
    _programs: Vec<Process>,
    _link: Option<Link>,
    near: Namespace,
    far: Namespace,
    directory: tempfile::TempDir,
    scene: Scene,
}

impl World {
    /// The side of the clients.
    pub(crate) const NEAR: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 99, 0, 1));
    /// The side of the application.
    pub(crate) const FAR: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 99, 0, 2));

    pub(crate) fn start(scene: Scene) -> anyhow::Result<Self> {
        Namespace::remove_abandoned();
        let (near, far) = (namespace("near")?, namespace("far")?);
        let link = match scene.link() {
            Some(settings) => Some(Link::start([&near, &far], ADDRESSES, settings)?),
            None => {
                pair(&near, &far)?;
                None
            }
        };
        let directory = tempfile::tempdir()?;
        let programs = programs(&far, directory.path())?;
        let world = Self { _programs: programs, _link: link, near, far, directory, scene };
        world.wait_ready(Self::direct()).context("the application does not answer")?;
        Ok(world)
    }

    pub(crate) fn scene(&self) -> Scene {
        self.scene
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The application, seen across the network.
    pub(crate) fn direct() -> SocketAddr {
        SocketAddr::new(Self::FAR, APP_PORT)
    }

    pub(crate) fn broker() -> SocketAddr {
        SocketAddr::new(Self::FAR, BROKER_PORT)
    }

    /// Returns a command that runs `program` beside the clients.
    pub(crate) fn near(&self, program: impl AsRef<OsStr>) -> Command {
        self.near.command(program)
    }

    /// Returns a command that runs `program` beside the application.
    pub(crate) fn far(&self, program: impl AsRef<OsStr>) -> Command {
        self.far.command(program)
    }

    /// Every TCP connection that begins from now on and crosses the network has this congestion control, on both sides.
    /// It belongs to the route: as a sysctl of a namespace the kernel takes only those that its host allows to all.
    pub(crate) fn set_congestion(&self, congestion: Congestion) -> anyhow::Result<()> {
        let name = congestion.name();
        for (namespace, own) in [(&self.near, Self::NEAR), (&self.far, Self::FAR)] {
            let route = format!("{NETWORK} dev {DEVICE} proto kernel scope link src {own}");
            let set = namespace.ip(&format!("route change {route} congctl {name}\n"));
            set.with_context(|| format!("the kernel has no TCP {name}"))?;
        }
        Ok(())
    }

    /// Cuts the line: whatever arrives is lost, and senders are not told.
    pub(crate) fn cut(&self) -> anyhow::Result<()> {
        let rule = format!("input iifname \"{DEVICE}\" drop");
        self.near.fault(&rule)?;
        self.far.fault(&rule)
    }

    /// Cuts the UDP flow of one port of the near side.
    pub(crate) fn cut_flow(&self, near_port: u16) -> anyhow::Result<()> {
        self.near.fault(&format!("input udp dport {near_port} drop"))?;
        self.far.fault(&format!("input udp sport {near_port} drop"))
    }

    /// Mends the line.
    pub(crate) fn mend(&self) -> anyhow::Result<()> {
        self.near.heal()?;
        self.far.heal()
    }

    /// Starts a client of this program that loads `to`.
    pub(crate) fn load(&self, arguments: &[&str], to: SocketAddr) -> anyhow::Result<Load> {
        let mut command = self.near(std::env::current_exe()?);
        command.args(arguments).args(["--to", &to.to_string()]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        Ok(Load(child))
    }

    /// Holds `count` connections to `to` until the returned value is dropped.
    pub(crate) fn hold(&self, to: SocketAddr, count: usize) -> anyhow::Result<Held> {
        let mut command = self.near(std::env::current_exe()?);
        let limit = HOLD_MAX.as_secs().to_string();
        command.args(["hold", "--to", &to.to_string(), "--count", &count.to_string(), "--limit", &limit]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let held = Held { child, input };
        let mut line = String::new();
        BufReader::new(output.context("no output")?).read_line(&mut line)?;
        if line.trim() != "held" {
            anyhow::bail!("{}", one_line(&std::io::read_to_string(errors.context("no output")?)?));
        }
        Ok(held)
    }

    /// Waits until a connection through `address` reaches the application.
    pub(crate) fn wait_ready(&self, address: SocketAddr) -> anyhow::Result<()> {
        let once = || self.load(&["first-byte", "--time", "0"], address).ok()?.figures().ok();
        until("a byte comes back", PATIENCE, once).map(drop)
    }
}

fn namespace(label: &str) -> anyhow::Result<Namespace> {
    let namespace = Namespace::new(label).context("cannot make a network namespace; it needs root")?;
    for key in ["tcp_rmem", "tcp_wmem"] {
        namespace.sysctl(&format!("net/ipv4/{key}"), TCP_BUFFERS)?;
    }
    namespace.sysctl("net/ipv4/ip_local_port_range", CLIENT_PORTS)?;
    namespace.ip(LOOPBACK).context("the kernel has no TCP cubic")?;
    Ok(namespace)
}

fn pair(near: &Namespace, far: &Namespace) -> anyhow::Result<()> {
    near.ip(&format!("link add {DEVICE} type veth peer name {DEVICE} netns {}\n", far.name()))?;
    for (namespace, address) in [near, far].into_iter().zip(ADDRESSES) {
        namespace.ip(&format!("addr add {address} dev {DEVICE}\nlink set {DEVICE} up\n"))?;
    }
    Ok(())
}

fn programs(far: &Namespace, directory: &Path) -> anyhow::Result<Vec<Process>> {
    let mut app = far.command(std::env::current_exe()?);
    app.args(["app", "--listen", &format!("0.0.0.0:{APP_PORT}")]);
    let mut broker = far.command(sibling("wovenet-test-broker")?);
    broker.args(["--listen", &World::broker().to_string()]);
    let log = directory.join("programs.log");
    Ok(vec![Process::start(app, &log)?, Process::start(broker, &log)?])
}

fn one_line(errors: &str) -> String {
    let line = errors.split_whitespace().collect::<Vec<_>>().join(" ");
    line.trim_start_matches("Error: ").to_owned()
}

/// A client that runs.
pub(crate) struct Load(Child);

impl Load {
    /// Waits for its end and returns the numbers that it prints.
    pub(crate) fn figures(mut self) -> anyhow::Result<Vec<f64>> {
        let (output, errors) = (self.0.stdout.take(), self.0.stderr.take());
        let text = std::io::read_to_string(output.context("no output")?)?;
        if !self.0.wait()?.success() {
            anyhow::bail!("{}", one_line(&std::io::read_to_string(errors.context("no output")?)?));
        }
        text.split_whitespace().map(|number| number.parse().with_context(|| format!("{text:?}"))).collect()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // It may have ended already.
        self.0.kill().ok();
        self.0.wait().ok();
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
