//! The tunnels that are compared, each with the same application behind it.

mod certificate;
mod contender;
mod frp;
mod ghostunnel;
mod place;
mod rathole;
mod relay;
mod ssh;
mod stunnel;
mod wovenet;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context;
use wovenet_tests::process::Process;

use crate::arguments::RunArguments;
use crate::scene::Scene;
use crate::world::World;
pub(crate) use contender::{Contender, End};
use place::{Place, program};

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

/// Returns the last line that each process wrote.
fn logs(processes: &[Process]) -> String {
    let last = |process: &Process| process.output().lines().last().unwrap_or("it logged nothing").to_owned();
    processes.iter().map(last).collect::<Vec<_>>().join("; ")
}
