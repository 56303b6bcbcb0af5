//! The two halves of a stream. Whatever is not a seen end of file is a reset: a broken stream never looks complete.

mod recv;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{Either, pending, ready};
use quinn::VarInt;

use crate::tunnel::channel::StreamGuard;

pub use recv::RecvHalf;

/// Why a half was given up, as told to the far side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetCode {
    /// Dropped without a reason, for example because its task panicked.
    Dropped,
    /// The application's own connection was reset or failed.
    AppReset,
    /// The stream was refused or could not be served.
    Refused,
    /// The header or answer did not come in time.
    Timeout,
    /// Access was withdrawn, or the app was removed.
    Revoked,
    /// No bytes for longer than the app's idle timeout.
    Idle,
    /// Nobody reads on, but what was sent the other way before stands.
    NotWanted,
}

impl ResetCode {
    fn code(self) -> VarInt {
        VarInt::from_u32(match self {
            Self::Dropped => 1,
            Self::AppReset => 2,
            Self::Refused => 3,
            Self::Timeout => 4,
            Self::Revoked => 5,
            Self::Idle => 6,
            Self::NotWanted => 7,
        })
    }

    /// Tells whether the far side meant this with `code`.
    pub fn is(self, code: u64) -> bool {
        self.code().into_inner() == code
    }
}

/// How a half ended other than by its end of file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The far side reset what it sends.
    #[error("the far side reset the stream (code {0})")]
    Reset(u64),
    /// The far side wants no more of what we send.
    #[error("the far side stopped reading (code {0})")]
    Stopped(u64),
    /// The channel under the stream is gone.
    #[error("the channel was lost")]
    ChannelLost,
}

/// The sending half of a stream. Dropped without [`SendHalf::finish`], it resets.
#[derive(Debug)]
pub struct SendHalf {
    stream: quinn::SendStream,
    ended: bool,
    _guard: Arc<StreamGuard>,
}

impl SendHalf {
    pub(super) fn new(stream: quinn::SendStream, guard: Arc<StreamGuard>) -> Self {
        Self { stream, ended: false, _guard: guard }
    }

    /// Sends a chunk by reference; waits for flow control.
    ///
    /// # Errors
    /// [`StreamError`] when the far side or the channel ended the half.
    pub async fn write_chunk(&mut self, chunk: Bytes) -> Result<(), StreamError> {
        let mut unsent = [chunk];
        loop {
            let written = match self.stream.write_chunks(&mut unsent).now_or_never() {
                Some(written) => written.map_err(write_error)?,
                None => unless(self.stopped(), self.stream.write_chunks(&mut unsent)).await?,
            };
            if written.chunks == unsent.len() {
                return Ok(());
            }
        }
    }

    /// Sends what fits of `bytes` and returns how much; waits until some does. Cancel-safe.
    ///
    /// # Errors
    /// [`StreamError`] when the far side or the channel ended the half.
    pub async fn write_some(&mut self, bytes: &[u8]) -> Result<usize, StreamError> {
        unless(self.stopped(), self.stream.write(bytes)).await
    }

    /// Says that nothing more comes: a clean end of file at the far side.
    pub fn finish(&mut self) {
        self.ended = self.stream.finish().is_ok() || self.ended;
    }

    /// Gives the half up; the far side sees a reset.
    pub fn reset(&mut self, code: ResetCode) {
        if !std::mem::replace(&mut self.ended, true) {
            // The only error is that the half is already closed.
            self.stream.reset(code.code()).ok();
        }
    }

    /// Resolves when the far side stops reading, or the channel is lost; never after all data was acknowledged.
    pub fn stopped(&self) -> impl Future<Output = StreamError> + Send + 'static + use<> {
        // Combinators, as an async block would hold the inner future twice.
        self.stream.stopped().then(|stopped| match stopped {
            Ok(Some(code)) => Either::Left(ready(StreamError::Stopped(code.into_inner()))),
            Ok(None) => Either::Right(pending()),
            Err(_) => Either::Left(ready(StreamError::ChannelLost)),
        })
    }
}

impl Drop for SendHalf {
    fn drop(&mut self) {
        self.reset(ResetCode::Dropped);
    }
}

/// Waits for a write, unless the far side stops reading: the library looks whether there is room first and leaves it at that
/// when there is none, so a stream whose own window is used up would wait for ever.
async fn unless<T>(
    stopped: impl Future<Output = StreamError>,
    write: impl Future<Output = Result<T, quinn::WriteError>>,
) -> Result<T, StreamError> {
    tokio::select! {
        biased;
        written = write => written.map_err(write_error),
        stopped = stopped => Err(stopped),
    }
}

fn write_error(error: quinn::WriteError) -> StreamError {
    match error {
        quinn::WriteError::Stopped(code) => StreamError::Stopped(code.into_inner()),
        _ => StreamError::ChannelLost,
    }
}
