//! The whole operator on an API server in this process, with an agent in this process, while things go wrong.
#![cfg(test)]
#![allow(clippy::unwrap_used, reason = "tests")]

mod agent;
mod api_server;
mod leaders;
mod objects;
mod peers;
mod ports;
mod promptness;
mod refusals;
mod scene;
mod statuses;
mod watches;
