//! Networks on one machine: namespaces, switches, NAT gateways, and the hosts of a test behind them. Needs root.
//!
//! Names carry the process id, so test runs side by side never meet, and what a crashed run left is removed by the next.

mod gateway;
mod host;
mod lab;
mod namespace;
mod peer;

pub use gateway::Gateway;
pub use host::Host;
pub use lab::Lab;
pub use namespace::Namespace;
pub use peer::{Event, TestPeer};
