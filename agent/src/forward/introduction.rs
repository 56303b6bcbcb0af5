//! A stream before its answer: the header goes with the client's first words. When no answer comes in time, the stream is
//! opened again on another channel to the same agent, which serves one of the two.

use std::future::pending;
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Buf, Bytes, BytesMut};
use tokio::time::{Instant, sleep_until};

use crate::forward::app_stream::AppStream;
use crate::forward::metrics::StreamResult;
use crate::tunnel::stream_header::HeaderError;
use crate::tunnel::{Answer, OpenedStream, ResetCode, StreamHeader};

/// The most that a client may say before the answer. It is kept, to be said again.
const SAID_MAX_BYTES: usize = 64 * 1024;
/// The most of a client's first words that travel with the header: both fit the smallest packet.
const FIRST_WORDS_BYTES: usize = 1024;
/// What is read from a client at a time, in bytes.
const HEAR_BYTES: usize = 4 * 1024;

/// A client, and what its stream begins with.
pub(super) struct Introduction<'a> {
    pub(super) socket: &'a AppStream,
    pub(super) header: StreamHeader,
    /// Whether what the client says goes out before the answer: it cannot be said to another provider then.
    pub(super) speaks_at_once: bool,
    pub(super) deadline: Instant,
}

/// A stream that the app has accepted.
pub(super) struct Served {
    pub(super) stream: OpenedStream,
    /// What the client has said and is still to be sent.
    pub(super) unsent: Bytes,
    /// How many bytes the client has said.
    pub(super) said: usize,
}

/// Why a stream is not served.
pub(super) enum NotServed {
    /// This provider does not serve it.
    Here(StreamResult),
    /// No other provider is to serve it.
    Anywhere(StreamResult),
}

impl Introduction<'_> {
    /// Introduces the client to the provider.
    ///
    /// # Errors
    /// [`NotServed`] has the result of the stream, and tells whether to ask another provider.
    pub(super) async fn run(self, stream: OpenedStream) -> Result<Served, NotServed> {
        let mut said = BytesMut::new();
        if self.speaks_at_once {
            self.hear_now(&mut said).map_err(|_| NotServed::Anywhere(StreamResult::Reset))?;
        }
        let late_after = stream.course.as_ref().map(|course| course.late_after());
        let mut late = late_after.map(|after| Instant::now() + after).filter(|late| *late < self.deadline);
        let mut attempts = vec![Attempt::new(stream, &self.header, &said)?];
        let has_ended = AtomicBool::new(false);
        let failed = loop {
            let may_speak = self.speaks_at_once && said.len() < SAID_MAX_BYTES && !has_ended.load(Ordering::Relaxed);
            tokio::select! {
                biased;
                (index, answer) = answered(&mut attempts) => {
                    if let Some(settled) = settle(&mut attempts, index, answer, said.len()) {
                        return settled;
                    }
                }
                heard = self.hear(&mut said), if may_speak => match heard {
                    Ok(0) => has_ended.store(true, Ordering::Relaxed),
                    Ok(length) => attempts.iter_mut().for_each(|attempt| attempt.say(&said[said.len() - length..])),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(_) => break StreamResult::Reset,
                },
                () = self.socket.broken(&has_ended) => break StreamResult::Reset,
                () = sleep_until(late.unwrap_or(self.deadline)) => match late.take() {
                    Some(_) => attempts.extend(self.repeat(&attempts[0], &said)),
                    None => break StreamResult::Timeout,
                },
            }
        };
        let code = if failed == StreamResult::Timeout { ResetCode::Timeout } else { ResetCode::AppReset };
        attempts.iter_mut().for_each(|attempt| attempt.give_up(code));
        Err(NotServed::Anywhere(failed))
    }

    /// Hears what is there now, without asking the runtime, which learns of a new connection only in its next turn.
    fn hear_now(&self, said: &mut BytesMut) -> io::Result<()> {
        let mut words = [0; FIRST_WORDS_BYTES];
        match self.socket.read_now(&mut words) {
            Ok(length) => said.extend_from_slice(&words[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Hears what the client says; 0 is its end of file. Cancel-safe.
    async fn hear(&self, said: &mut BytesMut) -> io::Result<usize> {
        self.socket.readable().await?;
        said.reserve(HEAR_BYTES);
        self.socket.try_read_buf(said)
    }

    /// Opens the stream again where it may be answered.
    fn repeat(&self, first: &Attempt, said: &[u8]) -> Option<Attempt> {
        let course = first.stream.course.as_ref()?;
        let repeats = Some(course.name()?);
        let header = StreamHeader { repeats, ..self.header.clone() };
        Attempt::new(course.open_beside()?, &header, said).ok()
    }
}

/// One stream to the provider, and what is still to be sent on it.
struct Attempt {
    stream: OpenedStream,
    unsent: BytesMut,
}

impl Attempt {
    fn new(stream: OpenedStream, header: &StreamHeader, said: &[u8]) -> Result<Self, NotServed> {
        let header = header.encode().map_err(|_| NotServed::Here(StreamResult::Failed))?;
        let mut unsent = BytesMut::with_capacity(header.len() + said.len());
        unsent.extend_from_slice(&header);
        unsent.extend_from_slice(said);
        Ok(Self { stream, unsent })
    }

    fn say(&mut self, words: &[u8]) {
        self.unsent.extend_from_slice(words);
    }

    /// Sends what is unsent until the answer comes. Cancel-safe.
    async fn answered(&mut self) -> Result<Answer, HeaderError> {
        let OpenedStream { send, recv, .. } = &mut self.stream;
        while !self.unsent.is_empty() {
            let sent = tokio::select! {
                biased;
                sent = send.write_some(&self.unsent) => sent,
                answer = Answer::read(recv) => return answer,
            };
            match sent {
                Ok(length) => self.unsent.advance(length),
                // The answer says why.
                Err(_) => break,
            }
        }
        Answer::read(recv).await
    }

    fn give_up(&mut self, code: ResetCode) {
        self.stream.send.reset(code);
        self.stream.recv.stop(code);
    }
}

async fn answered(attempts: &mut [Attempt]) -> (usize, Result<Answer, HeaderError>) {
    match attempts {
        [] => pending().await,
        [only] => (0, only.answered().await),
        [first, again, ..] => tokio::select! {
            biased;
            answer = first.answered() => (0, answer),
            answer = again.answered() => (1, answer),
        },
    }
}

/// Takes an answer, and tells what became of the stream when that is clear.
fn settle(
    attempts: &mut Vec<Attempt>,
    index: usize,
    answer: Result<Answer, HeaderError>,
    said: usize,
) -> Option<Result<Served, NotServed>> {
    let Attempt { stream, unsent } = attempts.remove(index);
    match answer {
        Ok(Answer::Ok) => {
            if index > 0 {
                attempts.iter().filter_map(|first| first.stream.course.as_ref()).for_each(|course| course.doubt());
            }
            Some(Ok(Served { stream, unsent: unsent.freeze(), said }))
        }
        Ok(Answer::Refused) => Some(Err(NotServed::Here(StreamResult::Refused))),
        Ok(Answer::Busy) => Some(Err(NotServed::Here(StreamResult::Busy))),
        Ok(Answer::Failed) => Some(Err(NotServed::Here(StreamResult::Failed))),
        // The other one is served, or may be.
        Ok(Answer::Served) | Err(_) if !attempts.is_empty() => None,
        Ok(Answer::Served) | Err(_) => Some(Err(NotServed::Here(StreamResult::Failed))),
    }
}
