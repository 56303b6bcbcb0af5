//! How a connector answers a stream, or ends it without an answer.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use crate::tunnel::{Answer, IncomingStream, ResetCode};

/// How long an answer may wait for the channel's flow control.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Says why a stream is not served, and hears no more of it.
pub(super) async fn decline(incoming: &mut IncomingStream, with: Answer) {
    if answer(incoming, with).await {
        incoming.send.finish();
        incoming.recv.stop(ResetCode::NotWanted);
    } else {
        give_up(incoming, ResetCode::Timeout);
    }
}

/// Writes the answer byte; tells whether that was possible in time.
pub(super) async fn answer(incoming: &mut IncomingStream, answer: Answer) -> bool {
    let byte = Bytes::copy_from_slice(&[answer.to_byte()]);
    matches!(timeout(ANSWER_TIMEOUT, incoming.send.write_chunk(byte)).await, Ok(Ok(())))
}

/// Ends a stream by a reset both ways.
pub(super) fn give_up(incoming: &mut IncomingStream, code: ResetCode) {
    incoming.send.reset(code);
    incoming.recv.stop(code);
}
