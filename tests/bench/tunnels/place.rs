//! Where a tunnel begins, and the programs that it is made of.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;
use wovenet_tests::process::Process;

use crate::arguments::RunArguments;
use crate::world::{APP, World};

/// Where a tunnel begins, and where it leaves its files.
pub(super) struct Place<'a> {
    pub(super) world: &'a World,
    pub(super) arguments: &'a RunArguments,
    pub(super) directory: PathBuf,
    /// Where its clients connect.
    pub(super) local: SocketAddr,
    /// The port of whichever side listens for the other.
    pub(super) hop_port: u16,
}

impl Place<'_> {
    /// Writes a file of the tunnel and returns where it is.
    pub(super) fn write(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let file = self.directory.join(name);
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    }

    /// Starts one of its programs, with a log of that name.
    pub(super) fn start(&self, command: Command, name: &str) -> anyhow::Result<Process> {
        Process::start(command, &self.directory.join(format!("{name}.log")))
    }

    /// Where the far side listens for the near one.
    pub(super) fn far_hop(&self) -> SocketAddr {
        SocketAddr::new(World::FAR, self.hop_port)
    }

    /// Where the near side listens for the far one.
    pub(super) fn near_hop(&self) -> SocketAddr {
        SocketAddr::new(World::NEAR, self.hop_port)
    }

    /// The application, seen from the far side.
    pub(super) fn app(&self) -> SocketAddr {
        APP
    }
}

/// Finds a program on the search path, or where system services are.
pub(super) fn program(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let found = places.map(|place| place.join(name)).find(|file| file.is_file());
    found.with_context(|| format!("there is no program {name} on the search path"))
}

/// Runs a command to its end and returns its output.
pub(super) fn run(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    anyhow::ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
