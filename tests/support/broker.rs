//! The embedded MQTT broker, in a process of its own so that it can be killed.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use crate::ports::free_tcp_port;
use crate::process::{Process, sibling};
use crate::until::{PATIENCE, until};

/// A running broker.
#[derive(Debug)]
pub struct Broker {
    process: Process,
    port: u16,
}

impl Broker {
    /// Starts a broker on a free port of loopback.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(directory: &Path) -> anyhow::Result<Self> {
        Self::start_at(directory, free_tcp_port()?)
    }

    /// Starts a broker on `port` of loopback and waits until it takes connections.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_at(directory: &Path, port: u16) -> anyhow::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let broker = Self::start_with(Command::new(sibling("wovenet-test-broker")?), directory, address)?;
        until("the broker listens", PATIENCE, || TcpStream::connect(address).ok())?;
        Ok(broker)
    }

    /// Starts a broker with a command that runs its program, as inside a network namespace. It may not listen yet.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_with(mut command: Command, directory: &Path, address: SocketAddr) -> anyhow::Result<Self> {
        command.args(["--listen", &address.to_string()]);
        let process = Process::start(command, &directory.join("broker.log"))?;
        Ok(Self { process, port: address.port() })
    }

    /// Returns its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills it.
    ///
    /// # Errors
    /// The system's error.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill()
    }
}
