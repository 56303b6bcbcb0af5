//! The harness: real processes, real sockets, real brokers, and waiting for conditions instead of time.

pub mod agent;
pub mod broker;
pub mod clusters;
pub mod http;
pub mod link;
pub mod log;
pub mod mesh;
pub mod netns;
pub mod ports;
pub mod process;
pub mod until;
pub mod web;
