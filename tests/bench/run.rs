//! One run: every part in turn, its tunnels side by side, and the results.

use std::path::Path;
use std::process::Command;

use anyhow::Context;

use crate::arguments::RunArguments;
use crate::figures::{Measure, digits};
use crate::machine::Machine;
use crate::measure;
use crate::plan::{self, Part, PartName};
use crate::report::Report;
use crate::tunnels::{Contender, Kind};
use crate::world::World;
use crate::{svg, table};

/// Measures all that the arguments ask for and writes the results.
pub(crate) fn run(arguments: &RunArguments) -> anyhow::Result<()> {
    std::fs::create_dir_all(&arguments.output)
        .with_context(|| format!("cannot write to {}", arguments.output.display()))?;
    let command = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    let mut report =
        Report { command: format!("wovenet-bench {command}"), machine: Machine::look(), ..Report::default() };
    let mut parts = plan::parts(arguments);
    leave_out_missing(&mut parts, arguments, &mut report);
    let minutes = plan::estimate(&parts).as_secs_f64() / 60.0;
    println!("{}\nthis takes about {minutes:.0} minutes", report.machine.line());
    allow_open_files()?;
    for (number, part) in parts.iter().enumerate() {
        println!("part {} of {}: {}", number + 1, parts.len(), part.scene.title());
        if let Err(error) = run_part(part, arguments, &mut report) {
            println!("  left out: {error:#}");
            report.leave_out(format!("{}: {error:#}", part.scene.title()));
        }
        report.machine.look_again();
        write(&report, &arguments.output)?;
    }
    println!("\n{}", table::render(&report));
    println!("bench.txt, bench.json and bench.svg are in {}", arguments.output.display());
    Ok(())
}

fn leave_out_missing(parts: &mut [Part], arguments: &RunArguments, report: &mut Report) {
    let missing: Vec<(Kind, String)> =
        Kind::ALL.into_iter().filter_map(|kind| Some((kind, kind.missing(arguments)?))).collect();
    for (kind, why) in &missing {
        println!("left out: {}: {why}", kind.name());
        report.leave_out(format!("{}: {why}", kind.name()));
    }
    for part in parts {
        part.tunnels.retain(|tunnel| missing.iter().all(|(kind, _)| *kind != tunnel.kind));
    }
}

fn run_part(part: &Part, arguments: &RunArguments, report: &mut Report) -> anyhow::Result<()> {
    let world = World::start(part.scene)?;
    let mut contenders = start(part, &world, arguments, report);
    for round in 1..=part.rounds {
        for contender in &mut contenders {
            println!("  round {round} of {}: {}", part.rounds, contender.name);
            for measure in &part.measures {
                take(&world, contender, part, *measure, report);
            }
        }
        report.machine.look_again();
    }
    Ok(())
}

fn start(part: &Part, world: &World, arguments: &RunArguments, report: &mut Report) -> Vec<Contender> {
    let mut contenders = Vec::new();
    for (tunnel, number) in part.tunnels.iter().zip(0..) {
        match tunnel.start(world, arguments, number) {
            Ok(contender) => contenders.push(contender),
            Err(error) => {
                println!("  left out: {error:#}");
                report.leave_out(format!("{}: {error:#}", part.scene.title()));
            }
        }
    }
    for contender in contenders.iter().filter(|_| part.name == PartName::Idle) {
        if let Some(time) = contender.started_in {
            report.add(part.scene, Measure::Start, &contender.name, time.as_secs_f64() * 1e3);
        }
    }
    contenders
}

/// A figure that cannot be taken is missing: it ends nothing.
fn take(world: &World, contender: &mut Contender, part: &Part, measure: Measure, report: &mut Report) {
    match measure::take(world, contender, measure, part.window) {
        Ok(figures) => {
            for (measure, value) in figures {
                println!("    {}: {} {}", measure.title(), digits(value), measure.unit());
                report.add(part.scene, measure, &contender.name, value);
            }
        }
        Err(error) => {
            println!("    {}: left out: {error:#}", measure.title());
            let (scene, name) = (part.scene.title(), &contender.name);
            report.leave_out(format!("{scene}: {name}: {}: {error:#}", measure.title()));
        }
    }
}

/// After each part, so that a run that is stopped leaves what it has.
fn write(report: &Report, directory: &Path) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(&report.json())?;
    for (name, text) in [("bench.txt", table::render(report)), ("bench.json", json), ("bench.svg", svg::render(report))]
    {
        std::fs::write(directory.join(name), text).with_context(|| format!("cannot write {name}"))?;
    }
    Ok(())
}

/// As many as the system allows, for this process and those that it starts: they hold thousands of connections.
fn allow_open_files() -> anyhow::Result<()> {
    let limits = std::fs::read_to_string("/proc/self/limits")?;
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    let hard = line.and_then(|line| line.split_whitespace().nth(4)).context("there is no limit of open files")?;
    let mut command = Command::new("prlimit");
    command.args(["--pid", &std::process::id().to_string(), &format!("--nofile={hard}:{hard}")]);
    anyhow::ensure!(command.status()?.success(), "the limit of open files stays as it is");
    Ok(())
}
