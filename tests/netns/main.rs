//! Sites in networks of their own: NAT, failures of agents, lines and brokers, and the examples. Needs root; `fault_43_…`
//! is a row of the fault matrix.
#![cfg(test)]
#![allow(clippy::unwrap_used, reason = "tests")]

mod address_change;
mod broker;
mod channels;
mod crash;
mod examples;
mod families;
mod long_line;
mod meeting;
mod pair;
mod service;

use std::time::{SystemTime, UNIX_EPOCH};

/// Prints a figure that a test measured.
fn measured(what: &str, figure: impl std::fmt::Debug) {
    println!("measured: {what}: {figure:?}");
}

/// Returns the time as test peers tell it.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
