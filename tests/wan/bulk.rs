//! Bulk transfers with iperf3.

use std::process::{Child, Command, Stdio};

use anyhow::Context;

use crate::world::{AGENT_PORTS, DIRECT_ADDRESS, DIRECT_PORTS, World};

/// Seconds at the start that do not count: slow start takes as long.
const WARM_UP_SECONDS: u32 = 4;

/// How the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// One TCP connection over the link, CUBIC.
    Cubic,
    /// One TCP connection over the link, BBR.
    Bbr,
    /// Through both agents.
    Agent,
}

/// Which side sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the side that connects.
    There,
    /// To the side that connects.
    Back,
}

impl Direction {
    /// Returns the word of the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::There => "there",
            Self::Back => "back",
        }
    }
}

/// A running transfer.
pub struct Bulk(Child);

/// Starts a transfer of `seconds` after the warm-up.
pub fn start(world: &World, path: Path, direction: Direction, seconds: u32) -> anyhow::Result<Bulk> {
    let mut command: Command = world.client();
    command.args(["iperf3", "--json", "--omit", &WARM_UP_SECONDS.to_string(), "--time", &seconds.to_string()]);
    let (address, port) = match path {
        Path::Cubic => (DIRECT_ADDRESS, DIRECT_PORTS[0]),
        Path::Bbr => (DIRECT_ADDRESS, DIRECT_PORTS[1]),
        Path::Agent => ("127.0.0.1", AGENT_PORTS[0]),
    };
    command.args(["--client", address, "--port", &port.to_string()]);
    match path {
        Path::Cubic => _ = command.args(["--congestion", "cubic"]),
        Path::Bbr => _ = command.args(["--congestion", "bbr"]),
        Path::Agent => {}
    }
    if direction == Direction::Back {
        command.arg("--reverse");
    }
    let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().context("cannot run iperf3")?;
    Ok(Bulk(child))
}

/// Runs a transfer to its end and returns what the receiver got in Mbit/s.
pub fn measure(world: &World, path: Path, direction: Direction, seconds: u32) -> anyhow::Result<f64> {
    start(world, path, direction, seconds)?.rate()
}

impl Bulk {
    /// Waits for the end and returns what the receiver got in Mbit/s.
    pub fn rate(self) -> anyhow::Result<f64> {
        let output = self.0.wait_with_output()?;
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).context("iperf3 gave no report")?;
        if let Some(error) = report.get("error") {
            anyhow::bail!("iperf3: {error}");
        }
        let bits = report.pointer("/end/sum_received/bits_per_second").and_then(serde_json::Value::as_f64);
        Ok(bits.context("iperf3 reported no rate")? / 1e6)
    }
}
