//! A stream that gets no answer is opened again on another channel to the same agent, which serves one of the two.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

use crate::tunnel::channel::Channel;
use crate::tunnel::frame::Binary;
use crate::tunnel::open::OpenedStream;
use crate::tunnel::registry::Registry;
use crate::tunnel::stream_header::StreamName;

/// An answer that takes longer than this and four round trips is late. An app that is slow to accept costs one stream more,
/// which the far side declines.
pub const ANSWER_LATE_AFTER: Duration = Duration::from_millis(250);

/// Where a stream was opened.
#[derive(Debug)]
pub struct Course {
    channel: Arc<Channel>,
    index: u64,
    registry: Registry,
}

impl Course {
    pub(super) fn new(channel: Arc<Channel>, index: u64, registry: Registry) -> Self {
        Self { channel, index, registry }
    }

    /// Returns how long an answer may take until it is late.
    pub fn late_after(&self) -> Duration {
        ANSWER_LATE_AFTER + self.channel.round_trip() * 4
    }

    /// Returns the name that both ends know the stream by.
    pub fn name(&self) -> Option<StreamName> {
        let channel = Binary(self.channel.name()?.to_vec());
        Some(StreamName { channel, index: self.index })
    }

    /// Opens a stream on another channel to the same agent, if there is one that can take it at once.
    pub fn open_beside(&self) -> Option<OpenedStream> {
        let other = self.registry.choose_beside(&self.channel)?;
        other.open(other.reserve(), &self.registry).now_or_never().flatten()
    }

    /// New streams prefer other channels until the peer answers a ping on this one.
    pub fn doubt(&self) {
        if self.channel.doubt() {
            let peer = self.channel.peer();
            tracing::debug!(site = %peer.name, channel = self.channel.id(), "a stream was answered on another channel only");
            self.registry.changed();
        }
    }
}

/// What is to be settled before an incoming stream is served.
#[derive(Debug)]
pub struct Claim {
    channel: Arc<Channel>,
    index: u64,
    registry: Registry,
    taken: bool,
}

/// Whether an incoming stream is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// It is.
    Served,
    /// The peer opened another one in its place.
    Replaced,
    /// The one that it repeats is, or may be.
    Repeated,
}

impl Claim {
    pub(super) fn new(channel: Arc<Channel>, index: u64, registry: Registry) -> Self {
        channel.claims().lock().came(index);
        Self { channel, index, registry, taken: false }
    }

    /// Decides between this stream and the one that it `repeats`.
    pub fn take(mut self, repeats: Option<&StreamName>) -> Claimed {
        self.taken = true;
        if !self.channel.claims().lock().take(self.index) {
            return Claimed::Replaced;
        }
        let Some(name) = repeats else { return Claimed::Served };
        // Of a channel that is no longer known, nobody can tell what was served.
        let first = self.registry.find_beside(&self.channel, &name.channel.0);
        let is_free = first.is_some_and(|first| first.claims().lock().replace(name.index));
        if is_free { Claimed::Served } else { Claimed::Repeated }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.taken {
            self.channel.claims().lock().take(self.index);
        }
    }
}
