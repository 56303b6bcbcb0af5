//! The contract between whoever writes a configuration (a person or the operator) and the agent that obeys it.
//!
//! In: a person's file or the operator's document. Out: a validated [`AgentConfig`].
//! Everything after this crate works on parsed values and cannot see a bad one.

pub mod agent;
pub mod api;
pub mod app;
pub mod document;
pub mod duration;
pub mod key;
pub mod load;
pub mod logger;
pub mod message_channel;
pub mod name;
mod nearest;
pub mod peer;
pub mod problem;
pub mod range;
pub mod secret;
pub mod socket;
pub mod tunnel;
pub mod validate;

pub use agent::AgentConfig;
pub use document::Document;
pub use load::{Loaded, load};
pub use problem::{Problem, Severity};
pub use validate::{Validated, validate};
