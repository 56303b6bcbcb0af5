//! What the program is told: by a person for a whole run, and by itself for its parts inside the namespaces.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::bulk::{Direction, Window};
use crate::plan::PartName;

/// Compares tunnels side by side.
#[derive(Parser)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run the whole comparison (root).
    Run(RunArguments),
    /// Remove the namespaces of runs that were killed (root).
    Clean,
    /// The application that everything is forwarded to.
    App {
        #[arg(long)]
        listen: SocketAddr,
    },
    /// A plain relay: every connection goes on to one address, unencrypted.
    Relay {
        #[arg(long)]
        listen: SocketAddr,
        #[arg(long)]
        to: SocketAddr,
    },
    /// Transfer over `streams` connections; print what arrived in the window in bit/s, and all bytes.
    Bulk {
        #[arg(long)]
        to: SocketAddr,
        #[arg(long)]
        direction: Direction,
        #[arg(long, default_value_t = 1)]
        streams: usize,
        #[command(flatten)]
        window: WindowArguments,
    },
    /// Connect, exchange one byte and close, `at_once` at a time; print connections per second.
    Connects {
        #[arg(long)]
        to: SocketAddr,
        #[arg(long, value_parser = seconds)]
        time: Duration,
        #[arg(long, default_value_t = 8)]
        at_once: usize,
    },
    /// Connect and ask for one byte, again and again; print the median time to that byte in milliseconds.
    FirstByte {
        #[arg(long)]
        to: SocketAddr,
        #[arg(long, value_parser = seconds)]
        time: Duration,
    },
    /// The same at a steady pace; print the longest time to that byte in milliseconds. Fails when one connection does.
    Slowest {
        #[arg(long)]
        to: SocketAddr,
        #[arg(long, value_parser = seconds)]
        time: Duration,
    },
    /// Exchange 64 bytes over one connection again and again; print the median time in milliseconds.
    RoundTrip {
        #[arg(long)]
        to: SocketAddr,
        #[command(flatten)]
        window: WindowArguments,
    },
    /// Download until a pause of `at_least` has ended; print how long nothing came, in seconds.
    Pause {
        #[arg(long)]
        to: SocketAddr,
        #[arg(long, value_parser = seconds)]
        at_least: Duration,
        #[arg(long, value_parser = seconds)]
        limit: Duration,
    },
    /// Hold `count` connections until standard input ends.
    Hold {
        #[arg(long)]
        to: SocketAddr,
        #[arg(long)]
        count: usize,
        /// How long making them may take.
        #[arg(long, value_parser = seconds)]
        limit: Duration,
    },
}

/// What a person may choose.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct RunArguments {
    /// A sensible subset within five minutes.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only these parts.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) only: Vec<PartName>,
    /// Rounds of each part; each measures every tunnel once, in turn.
    #[arg(long)]
    pub(crate) rounds: Option<usize>,
    /// Seconds of each measurement, after a warm-up.
    #[arg(long, value_parser = seconds)]
    pub(crate) seconds: Option<Duration>,
    /// Idle connections for the memory figure; may be given again.
    #[arg(long)]
    pub(crate) idle: Vec<usize>,
    /// Threads that drive tunnels in the agents (`tunnel.workers`).
    #[arg(long)]
    pub(crate) workers: Option<u8>,
    /// The agent to measure, a release build; else the one beside this program.
    #[arg(long)]
    pub(crate) agent: Option<PathBuf>,
    /// The rathole program; else the one on the search path.
    #[arg(long)]
    pub(crate) rathole: Option<PathBuf>,
    /// Where bench.txt, bench.json and bench.svg go; the last one counts.
    #[arg(long, default_value = "bench-results", overrides_with = "output")]
    pub(crate) output: PathBuf,
}

/// A warm-up and what counts after it.
#[derive(Args, Clone, Copy)]
pub(crate) struct WindowArguments {
    #[arg(long, value_parser = seconds)]
    warm_up: Duration,
    #[arg(long, value_parser = seconds)]
    time: Duration,
}

impl From<WindowArguments> for Window {
    fn from(WindowArguments { warm_up, time }: WindowArguments) -> Self {
        Self { warm_up, time }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("{text} is not a number of seconds"))?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
