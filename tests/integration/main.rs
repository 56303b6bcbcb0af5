//! Agents as processes on loopback, with real brokers, real programs and everything that went wrong elsewhere.
#![cfg(test)]
#![allow(clippy::unwrap_used, reason = "tests")]

mod abuse;
mod apps;
mod at_rest;
mod clients;
mod command_line;
mod configuration;
mod endings;
mod listener;
mod logs;
mod metrics;
mod programs;
mod reliability;
mod reload;
mod restarts;
mod secrets;
mod stopping;
mod strangers;
mod websocket;
