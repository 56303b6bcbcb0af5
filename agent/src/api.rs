//! The REST API of an agent, for people and for the operator, and its health and metrics port.
//!
//! In: requests on two TCP ports and an [`Agent`]. Out: what the agent says of itself, and configurations for it.

mod acceptor;
mod access_log;
pub mod agent;
mod app_schema;
mod attempts;
mod auth;
mod browser;
mod certificates;
mod connection;
mod door;
mod editor;
mod edits;
mod error;
pub mod health;
mod limits;
mod openapi;
mod places;
mod refusal;
mod request;
mod restore;
mod routes;
mod server;
mod shared;
mod socket;
mod write_limit;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use agent::{Agent, Applied, ApplyError, Origin};
pub use error::ApiError;
pub use health::HealthServer;
pub use openapi::openapi_json;
pub use server::ApiServer;
pub use wovenet_identity::OPERATOR_ALPN;
