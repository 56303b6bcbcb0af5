//! Long and lossy links: what one stream through two agents carries beside TCP alone, on an emulated link between two
//! network namespaces. Needs root, /dev/net/tun, iperf3 and the kernel's cubic and bbr.
#![allow(clippy::print_stdout, reason = "it prints the table of a benchmark")]

mod bulk;
mod ping;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use bulk::{Direction, Path, measure};
use world::{LinkSettings, World};

/// What the example network-performance promises: at least this many times TCP cubic.
const TIMES_CUBIC: f64 = 10.0;
/// And at least TCP BBR, less what two runs of the same differ.
const TIMES_BBR: f64 = 0.95;
/// A 64-byte request and its answer beside a bulk stream, on the link of 50 ms with a queue of 200 ms.
const PING_MAX: Duration = Duration::from_millis(75);

/// Measures one stream through two agents on emulated long-distance links (root).
#[derive(Parser)]
struct Arguments {
    /// The agent to measure, a release build; else the one beside this program.
    #[arg(long)]
    agent: Option<PathBuf>,
    /// Runs of each kind, whose median counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of each run, after a warm-up.
    #[arg(long, default_value_t = 8)]
    seconds: u32,
    #[command(subcommand)]
    part: Option<Part>,
}

/// Parts that run in a namespace.
#[derive(Subcommand)]
enum Part {
    /// Answers what comes.
    Echo {
        /// Where to listen.
        listen: std::net::SocketAddr,
    },
    /// Asks and prints the median time in milliseconds.
    Ping {
        /// Whom to ask.
        target: std::net::SocketAddr,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match &arguments.part {
        Some(Part::Echo { listen }) => ping::echo(*listen),
        Some(Part::Ping { target }) => ping::ping(*target).map(|median| println!("{}", median.as_secs_f64() * 1e3)),
        None => run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("wan: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut failures = Vec::new();
    println!("one stream at 200 Mbit/s, 200 ms, medians of {} in Mbit/s", arguments.rounds);
    println!(
        "{:>6} {:>9} | {:>7} {:>7} {:>7} | {:>7} {:>7}",
        "loss", "direction", "cubic", "bbr", "agent", "/cubic", "/bbr"
    );
    for loss in [0.1, 0.5] {
        let link = LinkSettings { round_trip: 200.0, queue: 200.0, loss, rate: 200.0 };
        let mut world = World::start(arguments.agent.as_deref(), link)?;
        for direction in [Direction::There, Direction::Back] {
            failures.extend(compare(arguments, &world, loss, direction)?);
        }
        println!("{}", world.stop()?);
    }
    failures.extend(ping_beside_bulk(arguments)?);
    share_with_cubic(arguments)?;
    anyhow::ensure!(failures.is_empty(), "{}", failures.join("; "));
    Ok(())
}

/// Runs all three in turn, so that whatever else the machine does meets each alike.
fn compare(arguments: &Arguments, world: &World, loss: f64, direction: Direction) -> anyhow::Result<Option<String>> {
    let mut rates = [Path::Cubic, Path::Bbr, Path::Agent].map(|path| (path, Vec::new()));
    for _ in 0..arguments.rounds {
        for (path, rates) in &mut rates {
            rates.push(measure(world, *path, direction, arguments.seconds)?);
        }
    }
    let [cubic, bbr, agent] = rates.map(|(_, rates)| median(rates));
    let (by_cubic, by_bbr) = (agent / cubic, agent / bbr);
    let name = direction.name();
    println!("{loss:>5}% {name:>9} | {cubic:>7.1} {bbr:>7.1} {agent:>7.1} | {by_cubic:>6.1}x {by_bbr:>6.2}x");
    let fine = by_cubic >= TIMES_CUBIC && by_bbr >= TIMES_BBR;
    Ok((!fine).then(|| format!("{name} at {loss} %: {by_cubic:.1} times cubic, {by_bbr:.2} times bbr")))
}

fn ping_beside_bulk(arguments: &Arguments) -> anyhow::Result<Option<String>> {
    let link = LinkSettings { round_trip: 50.0, queue: 200.0, loss: 0.0, rate: 200.0 };
    let mut world = World::start(arguments.agent.as_deref(), link)?;
    let bulk = bulk::start(&world, Path::Agent, Direction::There, 12)?;
    let median = world.ping()?;
    let rate = bulk.rate()?;
    world.stop()?;
    println!("64 B request beside a bulk stream of {rate:.0} Mbit/s, 50 ms, queue of 200 ms: {median:.1?}");
    Ok((median > PING_MAX).then(|| format!("a request beside a bulk stream took {median:?}")))
}

fn share_with_cubic(arguments: &Arguments) -> anyhow::Result<()> {
    for (round_trip, queue) in [(50.0, 100.0), (50.0, 200.0)] {
        let link = LinkSettings { round_trip, queue, loss: 0.0, rate: 100.0 };
        let mut world = World::start(arguments.agent.as_deref(), link)?;
        let agent = bulk::start(&world, Path::Agent, Direction::There, 20)?;
        let cubic = bulk::start(&world, Path::Cubic, Direction::There, 20)?;
        let (agent, cubic) = (agent.rate()?, cubic.rate()?);
        world.stop()?;
        let part = 100.0 * agent / (agent + cubic);
        println!("beside one TCP cubic flow, {round_trip} ms, queue of {queue} ms: {part:.0} : {:.0}", 100.0 - part);
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
