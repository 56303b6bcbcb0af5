//! Streams whose local end does not take what has come for it. What waits for it uses up the credit that all streams of
//! the channel share, the control stream among them, so the channel gets as much more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use quinn::VarInt;

use crate::tunnel::windows::Windows;

/// A local end that takes nothing for so long lags.
pub const LAGS_AFTER: Duration = Duration::from_millis(250);

/// The credit that lagging streams may take in this process, over all channels.
#[derive(Clone, Debug)]
pub(super) struct LaggingCredit {
    windows: Windows,
    taken: Arc<AtomicU32>,
}

/// The credit of one channel. It grows with the most streams that ever lagged at once, and is not taken back: the peer
/// may have used it.
#[derive(Debug)]
pub(super) struct ChannelCredit {
    connection: quinn::Connection,
    all: LaggingCredit,
    streams: Mutex<Streams>,
}

#[derive(Debug, Default)]
struct Streams {
    lagging: u32,
    covered: u32,
}

/// One stream that lags.
#[derive(Debug)]
pub struct Lag(Option<Arc<ChannelCredit>>);

impl LaggingCredit {
    pub(super) fn new(windows: Windows) -> Self {
        Self { windows, taken: Arc::default() }
    }

    /// Takes one stream's window, if there is one left.
    fn take(&self) -> bool {
        let more = |taken: u32| (taken < self.windows.lagging_streams).then_some(taken + 1);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }
}

impl ChannelCredit {
    pub(super) fn new(connection: quinn::Connection, all: LaggingCredit) -> Arc<Self> {
        Arc::new(Self { connection, all, streams: Mutex::default() })
    }

    /// Notes a stream that lags from now on; `None` when too many do, and it has to end so that others go on.
    pub(super) fn lag(self: &Arc<Self>) -> Option<Lag> {
        let mut streams = self.streams.lock();
        if streams.lagging == streams.covered {
            if !self.all.take() {
                return None;
            }
            streams.covered += 1;
            let windows = u64::from(self.all.windows.receive) * u64::from(streams.covered + 1);
            self.connection.set_receive_window(VarInt::from_u64(windows).unwrap_or(VarInt::MAX));
        }
        streams.lagging += 1;
        Some(Lag(Some(self.clone())))
    }
}

impl Drop for ChannelCredit {
    fn drop(&mut self) {
        self.all.taken.fetch_sub(self.streams.get_mut().covered, Ordering::Relaxed);
    }
}

impl Lag {
    /// A stream of no channel, which shares its credit with none.
    pub(super) fn alone() -> Self {
        Self(None)
    }
}

impl Drop for Lag {
    fn drop(&mut self) {
        if let Some(channel) = &self.0 {
            channel.streams.lock().lagging -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tunnel::testing::Pair;

    fn credit(lagging_streams: u32) -> LaggingCredit {
        LaggingCredit::new(Windows { receive: 1_000, send: 1_000, lagging_streams })
    }

    #[tokio::test]
    async fn streams_of_all_channels_lag_up_to_the_limit_and_the_next_one_may_not() {
        let (all, pair) = (credit(3), Pair::connect().await);
        let [one, other] = [&pair.dialler, &pair.listener].map(|end| ChannelCredit::new(end.clone(), all.clone()));
        let lags = [one.lag(), other.lag(), one.lag()];
        assert!(lags.iter().all(Option::is_some));
        assert!(one.lag().is_none() && other.lag().is_none());
    }

    #[tokio::test]
    async fn a_stream_that_lags_no_more_leaves_its_credit_to_the_next_one_of_its_channel() {
        let (all, pair) = (credit(1), Pair::connect().await);
        let channel = ChannelCredit::new(pair.dialler.clone(), all.clone());
        for _ in 0..10 {
            assert!(channel.lag().is_some());
        }
        let other = ChannelCredit::new(pair.listener.clone(), all);
        assert!(other.lag().is_none(), "the peer may have used it");
        drop(channel);
        assert!(other.lag().is_some());
    }
}
