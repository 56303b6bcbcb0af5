//! Moves the bytes of one stream between an app's or client's connection and the tunnel: by reference, with lazy
//! buffers, half-close each way, and a reset for a reset. One task serves both directions.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::forward::app_stream::AppStream;
use crate::forward::download::download;
use crate::forward::flow::Flow;
use crate::forward::metrics::{AppMetrics, StreamResult};
use crate::forward::upload::upload;
use crate::tunnel::{RecvHalf, ResetCode, SendHalf, StreamError};

/// How finely the silence of a stream is measured, as parts of its idle timeout.
const IDLE_PARTS: u32 = 8;

/// Why a stream ended before both directions were over.
#[derive(Debug, thiserror::Error)]
pub(super) enum Abort {
    /// The connection with the client or app broke.
    #[error("the local connection broke")]
    Local,
    /// The far side or the channel ended the stream.
    #[error(transparent)]
    Far(#[from] StreamError),
    /// Access was withdrawn, or the agent shuts down.
    #[error("the stream was revoked")]
    Revoked,
    /// No bytes for longer than the idle timeout.
    #[error("the stream was idle for too long")]
    Idle,
    /// The local end takes nothing, as those of too many other streams.
    #[error("the local end reads too slowly, and so do too many others")]
    Lagging,
}

impl Abort {
    /// Returns the label of a stream that ended so.
    pub(super) fn result(&self) -> StreamResult {
        match self {
            Self::Local | Self::Far(_) | Self::Revoked | Self::Idle | Self::Lagging => StreamResult::Reset,
        }
    }

    pub(super) fn code(&self) -> ResetCode {
        match self {
            Self::Local | Self::Far(_) | Self::Lagging => ResetCode::AppReset,
            Self::Revoked => ResetCode::Revoked,
            Self::Idle => ResetCode::Idle,
        }
    }
}

/// Everything that one forwarded connection is made of.
pub(super) struct Copy {
    pub(super) socket: AppStream,
    pub(super) send: SendHalf,
    pub(super) recv: RecvHalf,
    /// Cancelled when the stream must end at once.
    pub(super) revoked: CancellationToken,
    pub(super) idle_timeout: Option<Duration>,
    /// What is still to be sent of what the local end has said; it is counted already.
    pub(super) unsent: Bytes,
    pub(super) metrics: Arc<AppMetrics>,
}

impl Copy {
    /// Copies until both directions are over. On an [`Abort`] both ends see a reset.
    pub(super) fn run(self) -> BoxFuture<'static, Result<(), Abort>> {
        // Boxed once: moved from one async function into another it would be held by both.
        Box::pin(self.copy())
    }

    async fn copy(mut self) -> Result<(), Abort> {
        let flow = Flow::new(&self.metrics);
        let unsent = std::mem::take(&mut self.unsent);
        let limits = Limits { revoked: &self.revoked, idle_timeout: self.idle_timeout };
        match copy_both(&self.socket, &mut self.send, &mut self.recv, unsent, &flow, limits).await {
            Ok(()) => {
                self.socket.end_cleanly();
                Ok(())
            }
            Err(abort) => {
                give_up(&mut self.send, &mut self.recv, &abort, &flow);
                Err(abort)
            }
        }
    }
}

struct Limits<'a> {
    revoked: &'a CancellationToken,
    idle_timeout: Option<Duration>,
}

async fn copy_both(
    socket: &AppStream,
    send: &mut SendHalf,
    recv: &mut RecvHalf,
    unsent: Bytes,
    flow: &Flow<'_>,
    limits: Limits<'_>,
) -> Result<(), Abort> {
    let mut cut = pin!(cut(socket, flow, limits.revoked, limits.idle_timeout));
    let mut up = pin!(upload(socket, send, unsent, flow));
    let mut down = pin!(download(socket, recv, flow));
    let (mut up_is_over, mut down_is_over) = (false, false);
    while !(up_is_over && down_is_over) {
        tokio::select! {
            biased;
            abort = &mut cut => return Err(abort),
            result = &mut down, if !down_is_over => { result?; down_is_over = true }
            result = &mut up, if !up_is_over => { result?; up_is_over = true }
        }
    }
    Ok(())
}

/// Resolves when the stream must end whatever its directions do.
async fn cut(socket: &AppStream, flow: &Flow<'_>, revoked: &CancellationToken, idle: Option<Duration>) -> Abort {
    tokio::select! {
        biased;
        () = revoked.cancelled() => Abort::Revoked,
        () = socket.broken(&flow.up_ended) => Abort::Local,
        () = silence_over(flow, idle) => Abort::Idle,
    }
}

async fn silence_over(flow: &Flow<'_>, limit: Option<Duration>) {
    match limit {
        // Boxed, as are all rare waits: they would only make the long-lived task larger.
        Some(limit) => Box::pin(silence(flow, limit)).await,
        None => std::future::pending().await,
    }
}

async fn silence(flow: &Flow<'_>, limit: Duration) {
    let (mut seen, mut silent_parts) = (flow.total(), 0);
    while silent_parts < IDLE_PARTS {
        tokio::time::sleep(limit / IDLE_PARTS).await;
        let total = flow.total();
        silent_parts = if total == seen { silent_parts + 1 } else { 0 };
        seen = total;
    }
}

/// Tells the far side. Only a broken end that had said all it wanted to say lets what it said be heard to the end.
fn give_up(send: &mut SendHalf, recv: &mut RecvHalf, abort: &Abort, flow: &Flow<'_>) {
    let heard_out = matches!(abort, Abort::Local) && flow.up_has_ended();
    recv.stop(if heard_out { ResetCode::NotWanted } else { abort.code() });
    send.reset(abort.code());
}
