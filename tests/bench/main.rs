//! `make bench`: wovenet beside other tunnels on one machine, interleaved in one run. It compares; it never fails by time.
#![allow(clippy::print_stdout, reason = "a benchmark talks to a person")]

mod app;
mod load;
mod peers;
mod report;
mod topology;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::peers::{Contender, contenders};
use crate::report::{Report, Sample};
use crate::topology::Topology;

/// Compares tunnels side by side.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the whole comparison (root).
    Run {
        /// The rathole program; left out when missing.
        #[arg(long)]
        rathole: Option<PathBuf>,
        /// Rounds; each measures every contender once, in turn.
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        /// Seconds of each measurement.
        #[arg(long, default_value_t = 3)]
        seconds: u64,
        /// Idle connections for the memory figure.
        #[arg(long, default_value_t = 1_000)]
        idle: usize,
        /// Threads that drive tunnels in the agents (`tunnel.workers`).
        #[arg(long)]
        workers: Option<u8>,
        /// Also write the results as JSON.
        #[arg(long)]
        json: Option<PathBuf>,
    },
    /// The application that everything is forwarded to.
    App {
        #[arg(long)]
        listen: SocketAddr,
    },
    /// Send for some seconds over `streams` connections and print bytes per second.
    Bulk {
        #[arg(long)]
        to: SocketAddr,
        #[arg(long)]
        seconds: u64,
        #[arg(long, default_value_t = 1)]
        streams: usize,
    },
    /// Connect, exchange one byte and close, `at_once` at a time, and print connections per second.
    Connects {
        #[arg(long)]
        to: SocketAddr,
        #[arg(long)]
        seconds: u64,
        #[arg(long, default_value_t = 8)]
        at_once: usize,
    },
    /// Hold `count` connections until standard input ends.
    Hold {
        #[arg(long)]
        to: SocketAddr,
        #[arg(long)]
        count: usize,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Run { rathole, rounds, seconds, idle, workers, json } => {
            let report = run(rathole, rounds, Duration::from_secs(seconds), idle, workers)?;
            print!("{}", report.table());
            if let Some(file) = json {
                std::fs::write(file, report.json())?;
            }
            Ok(())
        }
        Command::App { listen } => app::serve(listen),
        Command::Bulk { to, seconds, streams } => load::bulk(to, Duration::from_secs(seconds), streams),
        Command::Connects { to, seconds, at_once } => load::connects(to, Duration::from_secs(seconds), at_once),
        Command::Hold { to, count } => load::hold(to, count),
    }
}

fn run(
    rathole: Option<PathBuf>,
    rounds: usize,
    seconds: Duration,
    idle: usize,
    workers: Option<u8>,
) -> anyhow::Result<Report> {
    let topology = Topology::build()?;
    let app = topology.start_app()?;
    let mut contenders = contenders(&topology, app, rathole.filter(|program| program.is_file()), workers)?;
    let mut report = Report::new();
    // First, while the processes hold no memory of earlier work.
    for contender in &mut contenders {
        let figures = idle_memory(&topology, contender, idle)?;
        report.add(contender.name(), Sample::IdleBytes, figures);
    }
    for round in 1..=rounds {
        for contender in &mut contenders {
            println!("round {round} of {rounds}: {}", contender.name());
            measure(&topology, contender, seconds, &mut report)?;
        }
    }
    if let Some(seconds) = contenders.iter_mut().find_map(Contender::start_to_first_byte) {
        report.add("wovenet", Sample::FirstByteMs, seconds? * 1e3);
    }
    Ok(report)
}

fn measure(topology: &Topology, contender: &mut Contender, time: Duration, report: &mut Report) -> anyhow::Result<()> {
    let name = contender.name();
    for (sample, streams) in [(Sample::BulkOne, 1), (Sample::BulkEight, 8)] {
        let before = contender.cpu_seconds();
        let rate = topology.load(&["bulk", "--streams", &streams.to_string()], contender.address(), time)?;
        let gigabytes = rate * time.as_secs_f64() / 1e9;
        report.add(name, sample, rate * 8.0 / 1e9);
        if streams == 1 && contender.has_processes() {
            report.add(name, Sample::CpuPerGigabyte, (contender.cpu_seconds() - before) / gigabytes);
        }
    }
    report.add(name, Sample::ConnectsAlone, topology.load(&["connects", "--at-once", "1"], contender.address(), time)?);
    report.add(name, Sample::ConnectsEight, topology.load(&["connects", "--at-once", "8"], contender.address(), time)?);
    Ok(())
}

/// Returns bytes of memory per idle connection in each of the contender's processes, the largest.
fn idle_memory(topology: &Topology, contender: &mut Contender, count: usize) -> anyhow::Result<f64> {
    if !contender.has_processes() {
        return Ok(0.0);
    }
    let before = contender.resident_bytes();
    let held = topology.hold(contender.address(), count)?;
    let after = contender.resident_bytes();
    drop(held);
    let grown = before.iter().zip(&after).map(|(before, after)| after.saturating_sub(*before));
    Ok(grown.max().unwrap_or(0) as f64 / count as f64)
}
