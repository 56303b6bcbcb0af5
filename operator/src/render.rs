//! What must be, as objects and documents. Pure: no clock, no client, no randomness.

pub mod agents;
pub mod document;
pub mod remote_app;
pub mod tunnel_service;

pub use agents::daemon_set;
pub use document::SiteDocument;
