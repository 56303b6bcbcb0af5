//! Where tunnel work runs: each shard is one thread that drives its endpoints, their channels and the streams on them,
//! so that a stream never pays for a wake-up across cores. See docs/decisions for the measurement behind it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// The most shards when the configuration names no number.
pub const SHARDS_MAX_DEFAULT: usize = 8;

/// The threads that drive tunnels. Dropping the last clone stops them.
#[derive(Clone, Debug)]
pub struct Shards {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    threads: Vec<Thread>,
    next: AtomicUsize,
    next_acceptor: AtomicUsize,
}

/// One of the shards.
#[derive(Clone, Debug)]
pub struct Shard {
    /// Its place among the shards.
    pub index: usize,
    /// Its runtime.
    pub runtime: Handle,
}

#[derive(Debug)]
struct Thread {
    shard: Shard,
    /// Dropping it ends the thread.
    _stop: oneshot::Sender<()>,
}

impl Shards {
    /// Starts `count` threads, or one for each core up to [`SHARDS_MAX_DEFAULT`].
    ///
    /// # Errors
    /// The system's error when a thread or its reactor cannot be made.
    pub fn start(count: Option<u8>) -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let count = count.map_or_else(|| cores.min(SHARDS_MAX_DEFAULT), usize::from).max(1);
        let threads = (0..count).map(Thread::start).collect::<io::Result<Vec<_>>>()?;
        Ok(Self { inner: Arc::new(Inner { threads, next: AtomicUsize::new(0), next_acceptor: AtomicUsize::new(0) }) })
    }

    /// Returns the shards in turn: where the next endpoint is driven.
    pub fn next(&self) -> Shard {
        self.take(&self.inner.next)
    }

    /// Returns the shards in another turn: where the next local socket accepts. It does not disturb the even spread
    /// of endpoints.
    pub fn next_acceptor(&self) -> Shard {
        self.take(&self.inner.next_acceptor)
    }

    fn take(&self, turn: &AtomicUsize) -> Shard {
        let index = turn.fetch_add(1, Ordering::Relaxed) % self.inner.threads.len();
        self.inner.threads[index].shard.clone()
    }
}

impl Thread {
    fn start(index: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let shard = Shard { index, runtime: runtime.handle().clone() };
        let (stop, stopped) = oneshot::channel::<()>();
        thread::Builder::new().name(format!("tunnel-{index}")).spawn(move || {
            // The dropped sender ends the thread.
            runtime.block_on(async { stopped.await.ok() });
            runtime.shutdown_background();
        })?;
        Ok(Self { shard, _stop: stop })
    }
}
