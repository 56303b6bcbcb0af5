//! The operator: turns Site, ExposedApp and RemoteApp into agents, Services, EndpointSlices and conditions.
//!
//! One loop, driven by whatever changes: collect what is known, judge it, render what must be, apply the difference, push
//! to agents, and tell in conditions. Judging, planning and rendering are pure.

pub mod agent_report;
pub mod apply;
pub mod cli;
pub mod client;
pub mod collect;
pub mod configuration;
pub mod events;
pub mod health;
pub mod judge;
mod keys;
pub mod known_peers;
pub mod leader;
mod measure;
pub mod metrics;
pub mod names;
pub mod operator;
pub mod plan;
pub mod ports;
pub mod push;
pub mod render;
pub mod report_status;
pub mod status;
pub mod watch;
