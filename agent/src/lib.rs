//! The wovenet data plane: sites find each other, build tunnels and forward sockets.

pub mod api;
pub mod app;
pub mod backoff;
pub mod cli;
pub mod discovery;
pub mod environment;
pub mod forward;
pub mod limited_log;
pub mod peer;
pub mod telemetry;
pub mod tunnel;
