//! Moves the bytes of one stream between an app's or client's connection and the tunnel: by reference, with lazy
//! buffers, half-close each way, and a reset for a reset. One task serves both directions.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::forward::app_stream::AppStream;
use crate::forward::download::download;
use crate::forward::flow::Flow;
use crate::forward::metrics::{AppMetrics, StreamResult};
use crate::forward::upload::upload;
use crate::tunnel::{Answer, RecvHalf, ResetCode, SendHalf, StreamError};

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
    /// The far side did not accept.
    #[error("the far side answered {0:?}")]
    NotAccepted(Answer),
    /// The far side did not answer in time.
    #[error("the far side did not answer in time")]
    NoAnswer,
    /// Access was withdrawn, or the agent shuts down.
    #[error("the stream was revoked")]
    Revoked,
    /// No bytes for longer than the idle timeout.
    #[error("the stream was idle for too long")]
    Idle,
}

impl Abort {
    /// Returns the label of a stream that ended so.
    pub(super) fn result(&self) -> StreamResult {
        match self {
            Self::Local | Self::Far(_) | Self::Revoked | Self::Idle => StreamResult::Reset,
            Self::NoAnswer => StreamResult::Timeout,
            Self::NotAccepted(Answer::Refused) => StreamResult::Refused,
            Self::NotAccepted(Answer::Busy) => StreamResult::Busy,
            Self::NotAccepted(Answer::Ok | Answer::Failed) => StreamResult::Failed,
        }
    }

    pub(super) fn code(&self) -> ResetCode {
        match self {
            Self::Local | Self::Far(_) | Self::NotAccepted(_) => ResetCode::AppReset,
            Self::NoAnswer => ResetCode::Timeout,
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
    /// The stream's header, still to be sent.
    pub(super) header: Option<Bytes>,
    /// The far side's answer is still to come.
    pub(super) answer: Option<AwaitedAnswer>,
    pub(super) metrics: Arc<AppMetrics>,
}

/// The answer that a stream begins with.
#[derive(Clone, Copy, Debug)]
pub(super) struct AwaitedAnswer {
    /// When the client came.
    pub(super) since: Instant,
    /// When it is reset.
    pub(super) deadline: Instant,
}

impl Copy {
    /// Copies until both directions are over. On an [`Abort`] both ends see a reset.
    pub(super) fn run(self) -> BoxFuture<'static, Result<(), Abort>> {
        // Boxed once: moved from one async function into another it would be held by both.
        Box::pin(self.copy())
    }

    async fn copy(mut self) -> Result<(), Abort> {
        let flow = Flow::new(&self.metrics);
        let header = self.header.take();
        let limits = Limits { revoked: &self.revoked, idle_timeout: self.idle_timeout, answer: self.answer };
        match copy_both(&self.socket, &mut self.send, &mut self.recv, header, &flow, limits).await {
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
    answer: Option<AwaitedAnswer>,
}

async fn copy_both(
    socket: &AppStream,
    send: &mut SendHalf,
    recv: &mut RecvHalf,
    header: Option<Bytes>,
    flow: &Flow<'_>,
    limits: Limits<'_>,
) -> Result<(), Abort> {
    let mut cut = pin!(cut(socket, flow, limits.revoked, limits.idle_timeout));
    let mut up = pin!(upload(socket, send, header, flow));
    let mut down = pin!(async {
        if let Some(awaited) = limits.answer {
            // Boxed, as are all rare waits below: they would only make the long-lived task larger.
            Box::pin(await_answer(recv, awaited, flow)).await?;
        }
        download(socket, recv, flow).await
    });
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

async fn await_answer(recv: &mut RecvHalf, awaited: AwaitedAnswer, flow: &Flow<'_>) -> Result<(), Abort> {
    match tokio::time::timeout_at(awaited.deadline, Answer::read(recv)).await {
        Err(_) => Err(Abort::NoAnswer),
        Ok(Ok(Answer::Ok)) => {
            flow.metrics.open_seconds.observe(awaited.since.elapsed().as_secs_f64());
            Ok(())
        }
        Ok(Ok(answer)) => Err(Abort::NotAccepted(answer)),
        Ok(Err(crate::tunnel::stream_header::HeaderError::Stream(error))) => Err(Abort::Far(error)),
        Ok(Err(_)) => Err(Abort::NotAccepted(Answer::Failed)),
    }
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
