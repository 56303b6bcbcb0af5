//! The kinds of `wovenet.io/v1alpha1` as Rust types: Site, ExposedApp and RemoteApp.
//!
//! In: what people write. Out: the types that the operator reads, their schema with its rules, and the YAML of their
//! definitions. Values are plain text and numbers on purpose: a newtype that refuses would make one bad object hide all
//! others of a watch. The schema refuses what it can, and the operator says in conditions what else is wrong.

pub mod address;
pub mod condition;
pub mod definition;
pub mod duration;
pub mod exposed_app;
pub mod quantity;
pub mod reference;
pub mod remote_app;
mod schema;
pub mod site;
mod unix_socket;

pub use condition::ConditionType;
pub use exposed_app::{ExposedApp, ExposedAppSpec, ExposedAppStatus};
pub use remote_app::{RemoteApp, RemoteAppSpec, RemoteAppStatus};
pub use site::{Site, SiteSpec, SiteStatus};

/// The API group of all kinds.
pub const GROUP: &str = "wovenet.io";
/// The version of all kinds.
pub const VERSION: &str = "v1alpha1";
