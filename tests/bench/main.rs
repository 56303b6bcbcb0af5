//! `make bench`: wovenet beside other tunnels on one machine, interleaved in one run. It compares; it never fails by time.
#![allow(clippy::print_stdout, reason = "a benchmark talks to a person")]

mod app;
mod arguments;
mod bulk;
mod figures;
mod link;
mod load;
mod machine;
mod measure;
mod plan;
mod relay;
mod report;
mod run;
mod scene;
mod statistics;
mod svg;
mod table;
mod tunnels;
mod usage;
mod world;

use clap::Parser;
use wovenet_tests::netns::Namespace;

use crate::arguments::{Arguments, Command};

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Clean => {
            Namespace::remove_abandoned();
            Ok(())
        }
        Command::App { listen } => app::serve(listen),
        Command::Relay { listen, to } => relay::serve(listen, to),
        Command::Bulk { to, direction, streams, window } => load::bulk(to, direction, streams, window.into()),
        Command::Connects { to, time, at_once } => load::connects(to, time, at_once),
        Command::FirstByte { to, time } => load::first_byte(to, time),
        Command::Slowest { to, time } => load::slowest(to, time),
        Command::RoundTrip { to, window } => load::round_trip(to, window.into()),
        Command::Pause { to, at_least, limit } => load::pause(to, at_least, limit),
        Command::Hold { to, count, limit } => load::hold(to, count, limit),
    }
}
