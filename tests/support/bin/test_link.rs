//! An emulated long-distance link between two network namespaces, until its input ends. Needs root and /dev/net/tun.
#![allow(clippy::print_stdout, reason = "it tells the test when it is ready, and the counts")]

use std::time::Duration;

use clap::Parser;
use wovenet_tests::link::{self, End, ShapeSettings};

/// Joins two network namespaces by a link; prints `ready`, and the counts of both directions when its input ends.
#[derive(Parser)]
struct Arguments {
    /// The two namespaces, as in ip-netns(8).
    #[arg(long, num_args = 2, required = true)]
    namespaces: Vec<String>,
    /// Their addresses on the link.
    #[arg(long, num_args = 2, default_values = ["10.99.0.1/24", "10.99.0.2/24"])]
    addresses: Vec<String>,
    /// The round trip without a queue, in milliseconds.
    #[arg(long, default_value_t = 50.0)]
    round_trip: f64,
    /// Added to the delay of each direction, in milliseconds.
    #[arg(long, default_value_t = 0.0)]
    jitter: f64,
    /// The share of packets lost, in percent.
    #[arg(long, default_value_t = 0.0)]
    loss: f64,
    /// The mean length of a run of lost packets.
    #[arg(long, default_value_t = 1.0)]
    burst: f64,
    /// The bottleneck in Mbit/s.
    #[arg(long, default_value_t = 200.0)]
    rate: f64,
    /// The queue before the bottleneck, in milliseconds.
    #[arg(long, default_value_t = 200.0)]
    queue: f64,
    /// Losses follow from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let ends = arguments.namespaces.into_iter().zip(arguments.addresses);
    let ends: Vec<_> = ends.map(|(namespace, address)| End { namespace, address }).collect();
    let [one, other] = &ends[..] else { anyhow::bail!("two namespaces are needed") };
    let settings = ShapeSettings {
        delay: milliseconds(arguments.round_trip / 2.0)?,
        jitter: milliseconds(arguments.jitter)?,
        loss: (arguments.loss / 100.0).clamp(0.0, 0.99),
        burst: arguments.burst,
        rate: arguments.rate * 1e6,
        queue: milliseconds(arguments.queue)?,
    };
    let counts = link::join([one, other], settings, arguments.seed)?;
    println!("ready");
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    for (name, counts) in ["there", "back"].iter().zip(&counts) {
        println!("{name}: {}", counts.line());
    }
    Ok(())
}

fn milliseconds(value: f64) -> anyhow::Result<Duration> {
    Ok(Duration::try_from_secs_f64(value / 1e3)?)
}
