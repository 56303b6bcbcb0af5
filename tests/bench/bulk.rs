//! Bulk transfers: who sends, and what the receiver counts. The receiver keeps the time, so that buffers along the way
//! neither add to a rate nor need to drain.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

/// Bytes of one read or write.
const BLOCK_BYTES: usize = 256 * 1024;

/// Which side sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Direction {
    /// The side that connects.
    Up,
    /// The application.
    Down,
}

impl Direction {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// When a receiver counts, from its first look on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// Does not count: slow start takes as long.
    pub(crate) warm_up: Duration,
    /// Counts.
    pub(crate) time: Duration,
}

impl Window {
    /// Returns the time of the whole transfer.
    pub(crate) fn total(self) -> Duration {
        self.warm_up + self.time
    }
}

/// What arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Received {
    /// Bytes within the time that counts.
    pub(crate) counted: u64,
    /// Bytes within the warm-up too.
    pub(crate) total: u64,
}

/// Reads until the window has passed.
pub(crate) async fn count(reader: &mut (impl AsyncRead + Unpin), window: Window) -> io::Result<Received> {
    let (start, mut received) = (Instant::now(), Received::default());
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        let read = timeout_at(start + window.total(), reader.read(&mut block)).await;
        // While there is always something to read the timeout never passes.
        let elapsed = start.elapsed();
        let bytes = match read {
            Ok(read) if elapsed < window.total() => read?,
            _ => return Ok(received),
        };
        if bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        received.total += bytes as u64;
        if elapsed > window.warm_up {
            received.counted += bytes as u64;
        }
    }
}

/// Writes without end.
pub(crate) async fn fill(writer: &mut (impl AsyncWrite + Unpin)) -> io::Error {
    let block = vec![0x5a; BLOCK_BYTES];
    loop {
        if let Err(error) = writer.write_all(&block).await {
            return error;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_what_comes_after_the_warm_up_counts() {
        let (mut sender, mut receiver) = tokio::io::duplex(1 << 16);
        let window = Window { warm_up: Duration::from_secs(2), time: Duration::from_secs(3) };
        let counting = tokio::spawn(async move { count(&mut receiver, window).await });
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_millis(900)).await;
            sender.write_all(&[0; 100]).await.unwrap();
        }
        assert_eq!(counting.await.unwrap().unwrap(), Received { counted: 200, total: 400 });
    }

    #[tokio::test]
    async fn a_source_that_is_always_ready_ends_in_time() {
        let window = Window { warm_up: Duration::ZERO, time: Duration::from_millis(50) };
        let start = Instant::now();
        assert!(count(&mut tokio::io::repeat(7), window).await.unwrap().counted > 0);
        assert!(start.elapsed() < Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_transfer_that_ends_early_is_an_error() {
        let (sender, mut receiver) = tokio::io::duplex(16);
        drop(sender);
        let window = Window { warm_up: Duration::ZERO, time: Duration::from_secs(1) };
        assert!(count(&mut receiver, window).await.is_err());
    }
}
