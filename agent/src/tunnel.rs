//! Tunnels: the data channels to each peer site, and the streams that they carry.

pub mod open;
pub mod stream;
pub mod stream_header;
pub mod tls;

#[cfg(test)]
pub(crate) mod testing;

pub use open::{IncomingStream, OpenError, OpenedStream, ProviderState, ServeStream, StreamOpener};
pub use stream::{RecvHalf, ResetCode, SendHalf, StreamError};
pub use stream_header::{Answer, StreamHeader};
