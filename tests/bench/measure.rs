//! Takes one figure of one tunnel.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::bulk::{Direction, Window};
use crate::figures::Measure;
use crate::plan::{BEFORE_OUTAGE, CUT, HEAD_START, OUTAGE, SETTLE};
use crate::tunnels::{Congestion, Contender, End};
use crate::world::{Load, World};

/// A pause of a download this long is the outage and not a full queue.
const OUTAGE_PAUSE: Duration = Duration::from_secs(4);
/// A tunnel that has not recovered by then, from the start of the download, counts as one that does not.
const RECOVERY_MAX: Duration = Duration::from_secs(60);

/// Takes `measure`, and what is known with it.
pub(crate) fn take(
    world: &World,
    contender: &mut Contender,
    measure: Measure,
    window: Window,
) -> anyhow::Result<Vec<(Measure, f64)>> {
    world.set_congestion(contender.congestion)?;
    if let Some((direction, streams)) = measure.bulk() {
        let before = contender.cpu_seconds();
        let received = start_bulk(world, contender.address, direction, streams, window)?.figures()?;
        return bulk(measure, &received, contender.has_processes().then(|| contender.cpu_seconds() - before));
    }
    let time = seconds(window.time);
    let ask = |arguments: &[&str]| first(world.load(arguments, contender.address)?);
    let figure = match measure {
        Measure::RoundTrip => ask(&words(&["round-trip"], &window_words(window)))?,
        Measure::ConnectsAlone => ask(&["connects", "--at-once", "1", "--time", &time])?,
        Measure::ConnectsEight => ask(&["connects", "--at-once", "8", "--time", &time])?,
        Measure::FirstByte => ask(&["first-byte", "--time", &time])?,
        Measure::RoundTripBesideBulk => round_trip_beside_bulk(world, contender, window)?,
        Measure::ShareUp => share(world, contender, Direction::Up, window)?,
        Measure::ShareDown => share(world, contender, Direction::Down, window)?,
        Measure::Recovery => recovery(world, contender)?,
        Measure::ListeningKilled => killed(world, contender, End::Listening)?,
        Measure::DiallingKilled => killed(world, contender, End::Dialling)?,
        Measure::ChannelCut => channel_cut(world, contender)?,
        Measure::Idle(count) => idle_kilobytes(world, contender, count)?,
        _ => anyhow::bail!("{} is taken with another figure", measure.title()),
    };
    Ok(vec![(measure, figure)])
}

/// The CPU time goes with one stream: what several cost a byte depends on how they meet.
fn bulk(measure: Measure, received: &[f64], cpu_seconds: Option<f64>) -> anyhow::Result<Vec<(Measure, f64)>> {
    let [rate, bytes] = received else { anyhow::bail!("the client printed {received:?}") };
    let cpu = match measure {
        Measure::BulkUp => Some(Measure::CpuUp),
        Measure::BulkDown => Some(Measure::CpuDown),
        _ => None,
    };
    let cpu = cpu.zip(cpu_seconds).map(|(cpu, seconds)| (cpu, seconds / (bytes / 1e9)));
    Ok([(measure, rate / 1e6)].into_iter().chain(cpu).collect())
}

fn start_bulk(
    world: &World,
    to: SocketAddr,
    direction: Direction,
    streams: usize,
    window: Window,
) -> anyhow::Result<Load> {
    let streams = streams.to_string();
    let arguments = ["bulk", "--direction", direction.name(), "--streams", &streams];
    world.load(&words(&arguments, &window_words(window)), to)
}

/// The request begins while the bulk stream is under way, and ends before it.
fn round_trip_beside_bulk(world: &World, contender: &Contender, window: Window) -> anyhow::Result<f64> {
    let longer = Window { time: window.time + HEAD_START * 2, ..window };
    let bulk = start_bulk(world, contender.address, Direction::Up, 1, longer)?;
    std::thread::sleep(HEAD_START);
    let time = first(world.load(&words(&["round-trip"], &window_words(window)), contender.address)?)?;
    bulk.figures()?;
    Ok(time)
}

/// Returns the percent of the bottleneck that the tunnel has beside TCP cubic. The flow that begins first has more for long,
/// so that each does once.
fn share(world: &World, contender: &Contender, direction: Direction, window: Window) -> anyhow::Result<f64> {
    let own = |world: &World| {
        world.set_congestion(contender.congestion)?;
        start_bulk(world, contender.address, direction, 1, window)
    };
    let other = |world: &World| {
        world.set_congestion(Congestion::Cubic)?;
        start_bulk(world, World::direct(), direction, 1, window)
    };
    let [own_first, other_second] = one_after_another(world, own, other)?;
    let [other_first, own_second] = one_after_another(world, other, own)?;
    let (own, other) = (own_first + own_second, other_first + other_second);
    Ok(100.0 * own / (own + other))
}

/// Returns the rates of two flows that are under way together.
fn one_after_another(
    world: &World,
    first_flow: impl Fn(&World) -> anyhow::Result<Load>,
    second_flow: impl Fn(&World) -> anyhow::Result<Load>,
) -> anyhow::Result<[f64; 2]> {
    let one = first_flow(world)?;
    std::thread::sleep(HEAD_START);
    let other = second_flow(world)?;
    Ok([first(one)?, first(other)?])
}

/// Returns for how many seconds nothing came once the line was mended.
fn recovery(world: &World, contender: &Contender) -> anyhow::Result<f64> {
    let (pause, limit) = (seconds(OUTAGE_PAUSE), seconds(RECOVERY_MAX));
    let load = world.load(&["pause", "--at-least", &pause, "--limit", &limit], contender.address)?;
    std::thread::sleep(BEFORE_OUTAGE);
    world.cut()?;
    std::thread::sleep(OUTAGE);
    world.mend()?;
    Ok((first(load)? - OUTAGE.as_secs_f64()).max(0.0))
}

/// Returns after how many milliseconds a new connection works, from the restart on.
fn killed(world: &World, contender: &mut Contender, end: End) -> anyhow::Result<f64> {
    contender.kill_and_restart(end)?;
    let restarted = Instant::now();
    world.wait_ready(contender.address)?;
    Ok(restarted.elapsed().as_secs_f64() * 1e3)
}

/// Returns the milliseconds of the slowest new connection while a channel is cut. None may fail.
fn channel_cut(world: &World, contender: &Contender) -> anyhow::Result<f64> {
    // The end that was killed last may not have all channels yet.
    std::thread::sleep(SETTLE);
    let port = contender.channel_port().context("it has no channels of its own")?;
    world.cut_flow(port)?;
    let slowest = world.load(&["slowest", "--time", &seconds(CUT)], contender.address).and_then(first);
    world.mend()?;
    slowest
}

/// Returns by how many kilobytes the larger end has grown for each connection.
fn idle_kilobytes(world: &World, contender: &Contender, count: usize) -> anyhow::Result<f64> {
    let _held = world.hold(contender.address, count)?;
    std::thread::sleep(SETTLE);
    Ok(contender.grown_bytes() as f64 / 1e3 / count as f64)
}

fn first(load: Load) -> anyhow::Result<f64> {
    load.figures()?.first().copied().context("the client printed nothing")
}

fn window_words(window: Window) -> [String; 4] {
    let [warm_up, time] = [window.warm_up, window.time].map(seconds);
    ["--warm-up".to_owned(), warm_up, "--time".to_owned(), time]
}

fn words<'a>(fixed: &[&'a str], more: &'a [String]) -> Vec<&'a str> {
    fixed.iter().copied().chain(more.iter().map(String::as_str)).collect()
}

fn seconds(time: Duration) -> String {
    time.as_secs_f64().to_string()
}
