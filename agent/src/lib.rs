//! The wovenet data plane: sites find each other, build tunnels and forward sockets.

pub mod backoff;
pub mod discovery;
pub mod peer;
pub mod tunnel;
