//! The REST API of an agent, for people and for the operator, and its health and metrics port.

pub mod agent;

pub use agent::{Agent, Applied, ApplyError, Origin};
