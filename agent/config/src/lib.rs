//! The contract between whoever writes a configuration (a person or the operator) and the agent that obeys it.
//!
//! In: a person's file or the operator's document . Out: a validated [`AgentConfig`].
//! Everything after this crate works on parsed values and cannot see a bad one.

pub mod agent;
pub mod api;
pub mod app;
pub mod key;
pub mod logger;
pub mod message_channel;
pub mod name;
pub mod peer;
pub mod range;
pub mod secret;
pub mod socket;
pub mod tunnel;

pub use agent::AgentConfig;
