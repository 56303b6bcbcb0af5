//! How much may be on its way: receive and send windows from the bandwidth-delay product, within a share of the memory.

use std::time::Duration;

use crate::tunnel::memory;

/// The fastest path that one stream is to fill, in bytes per second: 500 Mbit/s.
const BANDWIDTH: u64 = 500_000_000 / 8;
/// The longest round trip at that rate: half around the world and a queue.
const ROUND_TRIP: Duration = Duration::from_millis(256);
/// The most that a peer may send ahead of the readers, in bytes (docs/protocol.md §6).
pub(super) const WINDOW_MAX: u32 = 16 * 1024 * 1024;
/// The least, in bytes, however little memory there is.
pub(super) const WINDOW_MIN: u32 = 256 * 1024;
/// The part of the memory that the window of one channel may take. A channel takes up to three: received and not read,
/// read and not in order, sent and not acknowledged.
const MEMORY_PART: u64 = 64;
/// The part of the memory that streams whose local end lags may take, over all channels.
const LAGGING_MEMORY_PART: u64 = 4;
/// The most such streams, however much memory there is, and the least.
const LAGGING_STREAMS: std::ops::RangeInclusive<u64> = 4..=1_024;

/// The windows of every channel of this process, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// What an accepted peer may send ahead of the readers, over all streams or on one.
    pub receive: u32,
    /// What is kept until it is acknowledged, over all streams.
    pub send: u64,
    /// How many streams may hold a whole window each, as their local end does not take it, over all channels.
    pub lagging_streams: u32,
}

impl Windows {
    /// Returns the windows for a process that may use `memory` bytes; `None` is not known.
    pub fn new(memory: Option<u64>) -> Self {
        let product = BANDWIDTH * ROUND_TRIP.as_millis() as u64 / 1_000;
        let share = memory.map_or(u64::MAX, |memory| memory / MEMORY_PART);
        let window = u32::try_from(product.min(share)).unwrap_or(WINDOW_MAX).clamp(WINDOW_MIN, WINDOW_MAX);
        let lagging = memory.map_or(u64::MAX, |memory| memory / LAGGING_MEMORY_PART / u64::from(window));
        let lagging = lagging.clamp(*LAGGING_STREAMS.start(), *LAGGING_STREAMS.end());
        Self { receive: window, send: window.into(), lagging_streams: lagging as u32 }
    }

    /// Returns the windows for this process.
    pub fn of_this_process() -> Self {
        Self::new(memory::limit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MEBIBYTE: u64 = 1024 * 1024;

    #[test]
    fn a_large_machine_gets_the_product_and_a_small_container_its_share() {
        assert_eq!(Windows::new(None).receive, 16_000_000);
        assert_eq!(Windows::new(Some(8_192 * MEBIBYTE)).receive, 16_000_000);
        assert_eq!(u64::from(Windows::new(Some(256 * MEBIBYTE)).receive), 4 * MEBIBYTE);
        assert_eq!(Windows::new(Some(0)).receive, WINDOW_MIN);
        assert_eq!(Windows::new(Some(256 * MEBIBYTE)).lagging_streams, 16);
        assert_eq!(Windows::new(Some(0)).lagging_streams, 4);
    }

    proptest! {
        #[test]
        fn windows_stay_within_their_bounds(memory: u64) {
            let windows = Windows::new(Some(memory));
            prop_assert!((WINDOW_MIN..=WINDOW_MAX).contains(&windows.receive));
            prop_assert_eq!(windows.send, u64::from(windows.receive));
        }
    }
}
