//! The other direction of a stream: from the tunnel to the local connection.

use std::io::{ErrorKind, IoSlice};
use std::pin::pin;

use bytes::{Buf, Bytes};
use futures_util::FutureExt;
use tokio::time::timeout;

use crate::forward::app_stream::AppStream;
use crate::forward::copy::Abort;
use crate::forward::flow::{BUFFER_MAX_BYTES, Flow};
use crate::tunnel::{LAGS_AFTER, RecvHalf};

/// The most chunks that one system call writes. A chunk is about one packet.
const BATCH_CHUNKS: usize = 32;

/// Writes until the far side's end of file, which it passes on.
pub(super) async fn download(socket: &AppStream, recv: &mut RecvHalf, flow: &Flow<'_>) -> Result<(), Abort> {
    while let Some(first) = recv.read_chunk(BUFFER_MAX_BYTES).await? {
        let batch = gather(first, recv);
        write_batch(socket, batch, recv, flow).await?;
    }
    socket.shutdown_write().map_err(|_| Abort::Local)
}

/// Takes what has already arrived. An end that is seen here is seen again by the next read.
fn gather(first: Bytes, recv: &mut RecvHalf) -> Vec<Bytes> {
    let mut batch = vec![Bytes::new(); BATCH_CHUNKS];
    batch[0] = first;
    let more = match recv.read_chunks(&mut batch[1..]).now_or_never() {
        Some(Ok(Some(more))) => more,
        _ => 0,
    };
    batch.truncate(1 + more);
    batch
}

async fn write_batch(socket: &AppStream, mut batch: Vec<Bytes>, recv: &RecvHalf, flow: &Flow<'_>) -> Result<(), Abort> {
    let mut done = 0;
    while done < batch.len() {
        match try_write(socket, &batch[done..]) {
            Ok(written) => {
                flow.count_down(written);
                done += advance(&mut batch[done..], written);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                // Boxed, as are all rare waits.
                let _waits = flow.waits_down();
                Box::pin(writable(socket, recv)).await?;
            }
            Err(_) => return Err(Abort::Local),
        }
    }
    Ok(())
}

/// Waits until the local end takes more; one that lags holds back no other stream.
async fn writable(socket: &AppStream, recv: &RecvHalf) -> Result<(), Abort> {
    let mut writable = pin!(socket.writable());
    let ready = match timeout(LAGS_AFTER, &mut writable).await {
        Ok(ready) => ready,
        Err(_) => {
            let _lag = recv.lag().ok_or(Abort::Lagging)?;
            writable.await
        }
    };
    ready.map_err(|_| Abort::Local)
}

fn try_write(socket: &AppStream, chunks: &[Bytes]) -> std::io::Result<usize> {
    let mut slices = [IoSlice::new(&[]); BATCH_CHUNKS];
    for (slice, chunk) in slices.iter_mut().zip(chunks) {
        *slice = IoSlice::new(chunk);
    }
    socket.try_write_vectored(&slices[..chunks.len()])
}

/// Drops what was written; returns how many chunks are done with.
fn advance(batch: &mut [Bytes], mut written: usize) -> usize {
    let mut done = 0;
    for chunk in batch {
        if written < chunk.len() {
            chunk.advance(written);
            break;
        }
        written -= chunk.len();
        *chunk = Bytes::new();
        done += 1;
    }
    done
}
