//! The two halves of a stream. Whatever is not a seen end of file is a reset: a broken stream never looks complete.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{Either, pending, ready};
use quinn::VarInt;

use crate::tunnel::channel::StreamGuard;

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
        self.stream.write_chunk(chunk).await.map_err(write_error)
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

/// The receiving half of a stream. Dropped before its end, it tells the far side to stop and gives the credit back.
#[derive(Debug)]
pub struct RecvHalf {
    stream: quinn::RecvStream,
    _guard: Arc<StreamGuard>,
}

impl RecvHalf {
    pub(super) fn new(stream: quinn::RecvStream, guard: Arc<StreamGuard>) -> Self {
        Self { stream, _guard: guard }
    }

    /// Receives the next chunk of at most `max_bytes`, by reference; `None` is the far side's end of file. Cancel-safe.
    ///
    /// # Errors
    /// [`StreamError`] when the far side or the channel ended the half early.
    pub async fn read_chunk(&mut self, max_bytes: usize) -> Result<Option<Bytes>, StreamError> {
        match self.stream.read_chunk(max_bytes, true).await {
            Ok(chunk) => Ok(chunk.map(|chunk| chunk.bytes)),
            Err(error) => Err(read_error(error)),
        }
    }

    /// Receives up to `chunks.len()` chunks by reference and returns how many; `None` is the far side's end of file.
    /// Cancel-safe.
    ///
    /// # Errors
    /// [`StreamError`] when the far side or the channel ended the half early.
    pub async fn read_chunks(&mut self, chunks: &mut [Bytes]) -> Result<Option<usize>, StreamError> {
        self.stream.read_chunks(chunks).await.map_err(read_error)
    }

    /// Fills `buffer`; used for headers and answers.
    ///
    /// # Errors
    /// [`StreamError`]; an end of file before the buffer is full counts as a reset.
    pub async fn read_exact(&mut self, buffer: &mut [u8]) -> Result<(), StreamError> {
        self.stream.read_exact(buffer).await.map_err(|error| match error {
            quinn::ReadExactError::FinishedEarly(_) => StreamError::Reset(0),
            quinn::ReadExactError::ReadError(error) => read_error(error),
        })
    }

    /// Wants no more: the far side sees that its sending was stopped.
    pub fn stop(&mut self, code: ResetCode) {
        // The only error is that the half is already closed.
        self.stream.stop(code.code()).ok();
    }
}

fn read_error(error: quinn::ReadError) -> StreamError {
    match error {
        quinn::ReadError::Reset(code) => StreamError::Reset(code.into_inner()),
        _ => StreamError::ChannelLost,
    }
}

fn write_error(error: quinn::WriteError) -> StreamError {
    match error {
        quinn::WriteError::Stopped(code) => StreamError::Stopped(code.into_inner()),
        _ => StreamError::ChannelLost,
    }
}
