//! A tunnel that runs, and what it uses.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use wovenet_tests::process::Process;

use super::Congestion;
use crate::usage;

/// One of the two ends of a tunnel.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// The one that the other dials.
    Listening,
    Dialling,
}

/// A tunnel that runs.
pub(crate) struct Contender {
    pub(crate) name: String,
    pub(crate) congestion: Congestion,
    /// Where clients connect.
    pub(crate) address: SocketAddr,
    /// From the start of both ends to the first byte; none without ends.
    pub(crate) started_in: Option<Duration>,
    /// The end that listens for the other one, and the other one.
    pub(super) processes: Vec<Process>,
    /// Resident bytes of each process before the first load.
    pub(super) fresh: BTreeMap<u32, u64>,
}

impl Contender {
    pub(crate) fn has_processes(&self) -> bool {
        !self.processes.is_empty()
    }

    /// Kills an end with SIGKILL and starts it again at once.
    pub(crate) fn kill_and_restart(&mut self, end: End) -> anyhow::Result<()> {
        let index = match end {
            End::Listening => 0,
            End::Dialling => 1,
        };
        self.processes.get_mut(index).context("it has no such end")?.restart()
    }

    /// Returns the near port of an agents' channel that is up, as the far agent's log tells it.
    pub(crate) fn channel_port(&self) -> Option<u16> {
        let log = self.processes.first()?.output();
        let up = log.lines().rfind(|line| line.contains("data channel is up"))?;
        let address = up.split_once("remote_addr=")?.1.split_whitespace().next()?;
        address.parse::<SocketAddr>().ok().map(|address| address.port())
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

    pub(super) fn resident_bytes(&self) -> BTreeMap<u32, u64> {
        self.pids().into_iter().filter_map(|pid| Some((pid, usage::resident_bytes(pid)?))).collect()
    }

    fn pids(&self) -> Vec<u32> {
        usage::family(self.processes.iter().map(Process::id))
    }
}

impl Drop for Contender {
    /// Ends what its processes have started too: once the network is gone they would wait for the other end for ever.
    fn drop(&mut self) {
        let pids: Vec<String> = self.pids().iter().map(u32::to_string).collect();
        if !pids.is_empty() {
            // They may have ended already.
            Command::new("kill").args(["-s", "KILL"]).args(pids).stderr(Stdio::null()).status().ok();
        }
    }
}
