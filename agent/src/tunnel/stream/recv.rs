//! The receiving half of a stream.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt;

use crate::tunnel::channel::StreamGuard;
use crate::tunnel::lagging::Lag;
use crate::tunnel::reassembly::Reassembly;
use crate::tunnel::stream::{ResetCode, StreamError};

/// The largest chunk that [`RecvHalf::read_chunks`] takes, in bytes.
const CHUNK_MAX_BYTES: usize = 256 * 1024;

/// The receiving half of a stream. Dropped before its end, it tells the far side to stop and gives the credit back.
///
/// Chunks are taken from the library as they come and put in order here.
#[derive(Debug)]
pub struct RecvHalf {
    stream: quinn::RecvStream,
    reassembly: Reassembly,
    /// The library tells an error once, and an end of file from then on.
    failed: Option<StreamError>,
    guard: Arc<StreamGuard>,
}

impl RecvHalf {
    pub(in crate::tunnel) fn new(stream: quinn::RecvStream, guard: Arc<StreamGuard>) -> Self {
        Self { stream, reassembly: Reassembly::default(), failed: None, guard }
    }

    /// Receives the next chunk of at most `max_bytes`, by reference; `None` is the far side's end of file. Cancel-safe.
    ///
    /// # Errors
    /// [`StreamError`] when the far side or the channel ended the half early.
    pub async fn read_chunk(&mut self, max_bytes: usize) -> Result<Option<Bytes>, StreamError> {
        poll_fn(|context| self.poll_chunk(context, max_bytes)).await
    }

    /// Receives up to `chunks.len()` chunks by reference and returns how many; `None` is the far side's end of file.
    /// Cancel-safe.
    ///
    /// # Errors
    /// [`StreamError`] when the far side or the channel ended the half early.
    pub async fn read_chunks(&mut self, chunks: &mut [Bytes]) -> Result<Option<usize>, StreamError> {
        let mut count = 0;
        while count < chunks.len() {
            // Whatever ended the half is told again by the next read.
            chunks[count] = match self.read_chunk(CHUNK_MAX_BYTES).now_or_never() {
                Some(Ok(Some(chunk))) => chunk,
                _ if count > 0 => break,
                Some(end) => return end.map(|_| None),
                None => match self.read_chunk(CHUNK_MAX_BYTES).await? {
                    Some(chunk) => chunk,
                    None => return Ok(None),
                },
            };
            count += 1;
        }
        Ok(Some(count))
    }

    /// Fills `buffer`; used for headers and answers.
    ///
    /// # Errors
    /// [`StreamError`]; an end of file before the buffer is full counts as a reset.
    pub async fn read_exact(&mut self, buffer: &mut [u8]) -> Result<(), StreamError> {
        let mut filled = 0;
        while filled < buffer.len() {
            let chunk = self.read_chunk(buffer.len() - filled).await?.ok_or(StreamError::Reset(0))?;
            buffer[filled..filled + chunk.len()].copy_from_slice(&chunk);
            filled += chunk.len();
        }
        Ok(())
    }

    /// Wants no more: the far side sees that its sending was stopped.
    pub fn stop(&mut self, code: ResetCode) {
        self.forget();
        // The only error is that the half is already closed.
        self.stream.stop(code.code()).ok();
    }

    /// Notes that nobody takes what has come, until the returned value is dropped; `None` when that holds for too many
    /// streams, and this one has to end so that others go on.
    pub fn lag(&self) -> Option<Lag> {
        self.guard.lag()
    }

    fn poll_chunk(&mut self, context: &mut Context<'_>, max_bytes: usize) -> Poll<Result<Option<Bytes>, StreamError>> {
        if let Some(error) = &self.failed {
            return Poll::Ready(Err(error.clone()));
        }
        if max_bytes == 0 {
            return Poll::Ready(Ok(Some(Bytes::new())));
        }
        let result = std::task::ready!(self.poll_next(context, max_bytes));
        if let Err(error) = &result {
            self.forget();
            self.failed = Some(error.clone());
        }
        Poll::Ready(result)
    }

    fn poll_next(&mut self, context: &mut Context<'_>, max_bytes: usize) -> Poll<Result<Option<Bytes>, StreamError>> {
        loop {
            if self.reassembly.held() > 0
                && let Some(bytes) = self.counted(|reassembly| reassembly.take(max_bytes))
            {
                return Poll::Ready(Ok(Some(bytes)));
            }
            if self.guard.budget().is_spent() {
                std::task::ready!(self.poll_turn(context))?;
            }
            match std::task::ready!(self.poll_library(context, max_bytes))? {
                None if self.reassembly.held() == 0 => return Poll::Ready(Ok(None)),
                // It cannot be, as the library counts every byte.
                None => return Poll::Ready(Err(StreamError::ChannelLost)),
                Some(chunk) => {
                    let now = self.counted(|reassembly| reassembly.accept(chunk.offset, chunk.bytes));
                    if now.is_some() {
                        return Poll::Ready(Ok(now));
                    }
                }
            }
        }
    }

    /// Waits until the chunk whose turn it is has come: with the budget spent no other is taken, and the far side gets no
    /// credit for them.
    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        // The library's lowest chunk comes first; of none of its bytes, it is only looked at.
        match std::task::ready!(self.poll_library(context, 0))? {
            Some(chunk) if chunk.offset > self.reassembly.next() => {}
            _ => return Poll::Ready(Ok(())),
        }
        // Resolves at a reset, and wakes this task at every chunk.
        match std::task::ready!(pin!(self.stream.received_reset()).poll(context)) {
            Ok(Some(code)) => Poll::Ready(Err(StreamError::Reset(code.into_inner()))),
            Ok(None) => Poll::Ready(Ok(())),
            Err(_) => Poll::Ready(Err(StreamError::ChannelLost)),
        }
    }

    fn poll_library(
        &mut self,
        context: &mut Context<'_>,
        max_bytes: usize,
    ) -> Poll<Result<Option<quinn::Chunk>, StreamError>> {
        pin!(self.stream.read_chunk(max_bytes, false)).poll(context).map_err(read_error)
    }

    /// Changes the reassembly and tells the budget of the channel.
    fn counted<T>(&mut self, change: impl FnOnce(&mut Reassembly) -> T) -> T {
        let before = self.reassembly.held();
        let result = change(&mut self.reassembly);
        self.guard.budget().change(before, self.reassembly.held());
        result
    }

    fn forget(&mut self) {
        self.counted(Reassembly::clear);
    }
}

impl Drop for RecvHalf {
    fn drop(&mut self) {
        self.forget();
    }
}

fn read_error(error: quinn::ReadError) -> StreamError {
    match error {
        quinn::ReadError::Reset(code) => StreamError::Reset(code.into_inner()),
        _ => StreamError::ChannelLost,
    }
}
