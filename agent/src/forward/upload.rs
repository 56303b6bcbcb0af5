//! One direction of a stream: from the local connection into the tunnel.

use std::io::ErrorKind;
use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use tokio::time::Instant;

use crate::forward::app_stream::AppStream;
use crate::forward::copy::Abort;
use crate::forward::flow::{BUFFER_MAX_BYTES, BUFFER_MIN_BYTES, Flow};
use crate::tunnel::{ResetCode, SendHalf, StreamError};

/// A read that fills less than this part of its buffer is copied out, so that a trickle does not pin whole buffers
/// until the far side acknowledges it.
const COPY_OUT_BELOW_PART: usize = 4;
/// Bytes after which a busy connection lets the other tasks of its thread go on.
const TURN_BYTES: usize = 1024 * 1024;
/// How long an end whose sending nobody wants may go on, after the last byte that was delivered to it.
const UNWANTED_GRACE: Duration = Duration::from_secs(2);

/// Sends until the local end of file, which it passes on. When the far side wants no more, the rest is dropped.
/// What was `unsent` before goes first.
pub(super) async fn upload(
    socket: &AppStream,
    send: &mut SendHalf,
    unsent: Bytes,
    flow: &Flow<'_>,
) -> Result<(), Abort> {
    let mut stopped = pin!(send.stopped());
    let mut result = match unsent.is_empty() {
        true => Ok(Progress::MayCome),
        false => Box::pin(send.write_chunk(unsent)).await.map(|()| Progress::MayCome),
    };
    loop {
        match result {
            Ok(Progress::MayCome) => {}
            Ok(Progress::EndOfFile) => {
                send.finish();
                flow.end_up();
                return Ok(());
            }
            Err(StreamError::Stopped(code)) if ResetCode::NotWanted.is(code) => {
                return Box::pin(discard(socket, flow, StreamError::Stopped(code))).await;
            }
            Err(error) => return Err(error.into()),
        }
        let event = tokio::select! {
            ready = socket.readable() => ready.map_err(|_| Abort::Local).map(|()| None),
            reason = &mut stopped => Ok(Some(reason)),
        };
        result = match event? {
            Some(reason) => Err(reason),
            None => send_what_is_there(socket, send, flow).await?,
        };
    }
}

enum Progress {
    MayCome,
    EndOfFile,
}

/// Sends until a read would block; the buffer lives no longer than that.
async fn send_what_is_there(
    socket: &AppStream,
    send: &mut SendHalf,
    flow: &Flow<'_>,
) -> Result<Result<Progress, StreamError>, Abort> {
    let (mut size, mut turn) = (BUFFER_MIN_BYTES, 0);
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(size);
        match socket.try_read_buf(&mut buffer) {
            Ok(0) => return Ok(Ok(Progress::EndOfFile)),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Ok(Progress::MayCome)),
            Err(_) => return Err(Abort::Local),
        }
        let read = buffer.len();
        if read >= size {
            size = (size * 2).min(BUFFER_MAX_BYTES);
        }
        if let Err(error) = write(send, take(&mut buffer), flow).await {
            return Ok(Err(error));
        }
        flow.count_up(read);
        turn += read;
        if turn >= TURN_BYTES {
            turn = 0;
            tokio::task::yield_now().await;
        }
    }
}

/// Writes a chunk, and counts the time for which the tunnel takes no more.
async fn write(send: &mut SendHalf, chunk: Bytes, flow: &Flow<'_>) -> Result<(), StreamError> {
    let mut write = pin!(send.write_chunk(chunk));
    if let Some(written) = (&mut write).now_or_never() {
        return written;
    }
    let _waits = flow.waits_up();
    write.await
}

/// Takes what was read, by reference unless that would pin a much larger buffer.
fn take(buffer: &mut BytesMut) -> Bytes {
    if buffer.len() < buffer.capacity() / COPY_OUT_BELOW_PART {
        let bytes = Bytes::copy_from_slice(buffer);
        buffer.clear();
        bytes
    } else {
        std::mem::take(buffer).freeze()
    }
}

/// Drops what the local end still sends, so that an app that answers early and closes is heard to the end.
async fn discard(socket: &AppStream, flow: &Flow<'_>, stopped: StreamError) -> Result<(), Abort> {
    loop {
        let delivered = flow.delivered();
        let deadline = Instant::now() + UNWANTED_GRACE;
        match tokio::time::timeout_at(deadline, discard_to_end(socket)).await {
            Ok(result) => return result,
            Err(_) if flow.delivered() == delivered => return Err(stopped.into()),
            Err(_) => {}
        }
    }
}

async fn discard_to_end(socket: &AppStream) -> Result<(), Abort> {
    loop {
        socket.readable().await.map_err(|_| Abort::Local)?;
        match socket.try_read_buf(&mut BytesMut::with_capacity(BUFFER_MIN_BYTES)) {
            Ok(0) => return Ok(()),
            Ok(_) => tokio::task::yield_now().await,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return Err(Abort::Local),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_read_is_taken_by_reference_and_a_trickle_is_copied_out() {
        let mut full = BytesMut::with_capacity(BUFFER_MIN_BYTES);
        full.resize(BUFFER_MIN_BYTES, 1);
        let address = full.as_ptr();
        assert_eq!(take(&mut full).as_ptr(), address);
        assert_eq!(full.capacity(), 0);

        let mut trickle = BytesMut::with_capacity(BUFFER_MIN_BYTES);
        trickle.extend_from_slice(b"x");
        let address = trickle.as_ptr();
        assert_ne!(take(&mut trickle).as_ptr(), address);
        assert_eq!((trickle.len(), trickle.capacity()), (0, BUFFER_MIN_BYTES));
    }
}
