//! The tunnels that are compared, each with the same application behind it.

mod certificate;
mod frp;
mod ghostunnel;
mod rathole;
mod relay;
mod ssh;
mod stunnel;
mod wovenet;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use wovenet_tests::process::Process;

use crate::arguments::RunArguments;
use crate::scene::Scene;
use crate::usage;
use crate::world::{APP, World};

/// The first port on the side of the clients; each tunnel has the next.
const FIRST_LOCAL_PORT: u16 = 9001;
/// The first port between the two sides.
const FIRST_HOP_PORT: u16 = 7001;

/// Who forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Wovenet,
    /// Nobody: the clients connect to the application.
    Direct,
    Relay,
    Ssh,
    Stunnel,
    Ghostunnel,
    RatholeTls,
    RatholeNoise,
    Frp,
}

/// How TCP decides what to send, by the kernel's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Congestion {
    Cubic,
    Bbr,
}

/// One that takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tunnel {
    pub(crate) kind: Kind,
    pub(crate) congestion: Congestion,
}

/// Where a tunnel begins, and where it leaves its files.
struct Place<'a> {
    world: &'a World,
    arguments: &'a RunArguments,
    directory: PathBuf,
    /// Where its clients connect.
    local: SocketAddr,
    /// The port of whichever side listens for the other.
    hop_port: u16,
}

/// A tunnel that runs.
pub(crate) struct Contender {
    pub(crate) name: String,
    pub(crate) congestion: Congestion,
    /// Where clients connect.
    pub(crate) address: SocketAddr,
    /// From the start of both ends to the first byte; none without ends.
    pub(crate) started_in: Option<Duration>,
    processes: Vec<Process>,
    /// Resident bytes of each process before the first load.
    fresh: BTreeMap<u32, u64>,
}

impl Kind {
    pub(crate) const ALL: [Self; 9] = [
        Self::Wovenet,
        Self::Direct,
        Self::Relay,
        Self::Ssh,
        Self::Stunnel,
        Self::Ghostunnel,
        Self::RatholeTls,
        Self::RatholeNoise,
        Self::Frp,
    ];
    /// Those that are measured on each emulated link: there the ciphers make no difference.
    pub(crate) const OVER_LINKS: [Self; 5] = [Self::Wovenet, Self::Direct, Self::Ssh, Self::Stunnel, Self::RatholeTls];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Wovenet => "wovenet",
            Self::Direct => "direct TCP",
            Self::Relay => "plain relay",
            Self::Ssh => "ssh -L",
            Self::Stunnel => "stunnel",
            Self::Ghostunnel => "ghostunnel",
            Self::RatholeTls => "rathole tls",
            Self::RatholeNoise => "rathole noise",
            Self::Frp => "frp",
        }
    }

    /// Tells whether TCP crosses the network between the two sides.
    pub(crate) fn is_tcp(self) -> bool {
        self != Self::Wovenet
    }

    /// Tells why it cannot take part, if so.
    pub(crate) fn missing(self, arguments: &RunArguments) -> Option<String> {
        let programs: &[&str] = match self {
            Self::Wovenet | Self::Direct | Self::Relay => &[],
            Self::Ssh => &["ssh", "sshd", "ssh-keygen"],
            Self::Stunnel => &["stunnel", "openssl"],
            Self::Ghostunnel => &["ghostunnel", "openssl"],
            Self::RatholeTls | Self::RatholeNoise => return rathole::missing(self, arguments),
            Self::Frp => &["frps", "frpc"],
        };
        programs.iter().find_map(|name| program(name).err()).map(|error| error.to_string())
    }
}

impl Congestion {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cubic => "cubic",
            Self::Bbr => "bbr",
        }
    }
}

impl Tunnel {
    /// Names it as in the tables of a scene.
    pub(crate) fn name(self, scene: Scene) -> String {
        let name = self.kind.name();
        if scene.link().is_some() && self.kind.is_tcp() {
            return format!("{name}, {}", self.congestion.name());
        }
        name.to_owned()
    }

    /// Starts it and waits until it forwards; `number` tells it from the others of this world.
    pub(crate) fn start(self, world: &World, arguments: &RunArguments, number: u16) -> anyhow::Result<Contender> {
        let name = self.name(world.scene());
        let directory = world.directory().join(format!("{number}-{}", self.kind.name().replace(' ', "-")));
        std::fs::create_dir_all(&directory)?;
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, FIRST_LOCAL_PORT + number));
        let place = Place { world, arguments, directory, local, hop_port: FIRST_HOP_PORT + number };
        world.set_congestion(self.congestion)?;
        let start = std::time::Instant::now();
        let processes = self.processes(&place)?;
        let address = if self.kind == Kind::Direct { World::direct() } else { local };
        world.wait_ready(address).with_context(|| format!("{name} does not forward; {}", logs(&processes)))?;
        let started_in = (!processes.is_empty()).then(|| start.elapsed());
        let mut contender =
            Contender { name, congestion: self.congestion, address, started_in, processes, fresh: BTreeMap::new() };
        contender.fresh = contender.resident_bytes();
        Ok(contender)
    }

    fn processes(self, place: &Place) -> anyhow::Result<Vec<Process>> {
        match self.kind {
            Kind::Direct => Ok(Vec::new()),
            Kind::Wovenet => wovenet::start(place),
            Kind::Relay => relay::start(place),
            Kind::Ssh => ssh::start(place),
            Kind::Stunnel => stunnel::start(place),
            Kind::Ghostunnel => ghostunnel::start(place),
            Kind::RatholeTls | Kind::RatholeNoise => rathole::start(place, self.kind),
            Kind::Frp => frp::start(place),
        }
    }
}

impl Place<'_> {
    /// Writes a file of the tunnel and returns where it is.
    fn write(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let file = self.directory.join(name);
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    }

    fn start(&self, command: std::process::Command, name: &str) -> anyhow::Result<Process> {
        Process::start(command, &self.directory.join(format!("{name}.log")))
    }

    /// Where the far side listens for the near one.
    fn far_hop(&self) -> SocketAddr {
        SocketAddr::new(World::FAR, self.hop_port)
    }

    /// Where the near side listens for the far one.
    fn near_hop(&self) -> SocketAddr {
        SocketAddr::new(World::NEAR, self.hop_port)
    }

    /// The application, seen from the far side.
    fn app(&self) -> SocketAddr {
        APP
    }
}

impl Contender {
    pub(crate) fn has_processes(&self) -> bool {
        !self.processes.is_empty()
    }

    /// Returns the CPU seconds of both ends so far, children included.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        self.pids().into_iter().filter_map(usage::cpu_seconds).sum()
    }

    /// Returns by how many bytes the larger end has grown since its start.
    pub(crate) fn grown_bytes(&self) -> u64 {
        let fresh = |pid: &u32| self.fresh.get(pid).copied().unwrap_or(0);
        let grown = self.resident_bytes().iter().map(|(pid, now)| now.saturating_sub(fresh(pid))).max();
        grown.unwrap_or(0)
    }

    fn resident_bytes(&self) -> BTreeMap<u32, u64> {
        self.pids().into_iter().filter_map(|pid| Some((pid, usage::resident_bytes(pid)?))).collect()
    }

    fn pids(&self) -> Vec<u32> {
        usage::family(self.processes.iter().map(Process::id))
    }
}

/// Finds a program on the search path, or where system services are.
fn program(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let found = places.map(|place| place.join(name)).find(|file| file.is_file());
    found.with_context(|| format!("there is no program {name} on the search path"))
}

fn run(command: &mut std::process::Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    anyhow::ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Returns the last line that each process wrote.
fn logs(processes: &[Process]) -> String {
    let last = |process: &Process| process.output().lines().last().unwrap_or("it logged nothing").to_owned();
    processes.iter().map(last).collect::<Vec<_>>().join("; ")
}
