//! Accepts connections, up to a number at once, and owns the task of each.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

/// The wait after the system refused a connection, such as without free file descriptors.
const REFUSED_WAIT: Duration = Duration::from_millis(200);

/// The accept loop of one listening socket.
pub(super) struct Acceptor<S> {
    /// Where clients connect.
    pub listener: TcpListener,
    /// Connections at once.
    pub connections: usize,
    /// Ends the loop; whoever serves a connection must watch it too.
    pub stop: CancellationToken,
    /// Serves one connection to its end.
    pub serve: S,
}

impl<S, F> Acceptor<S>
where
    S: Fn(TcpStream, SocketAddr) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    /// Runs until stopped and every connection has ended.
    pub async fn run(self) {
        let mut tasks = JoinSet::new();
        let slots = Arc::new(Semaphore::new(self.connections));
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                Some(ended) = tasks.join_next() => report(ended),
                Some((slot, stream, remote)) = next(&self.listener, &slots) => {
                    let serving = (self.serve)(stream, remote);
                    tasks.spawn(async move {
                        serving.await;
                        drop(slot);
                    });
                }
            }
        }
        drop(self.listener);
        while let Some(ended) = tasks.join_next().await {
            report(ended);
        }
    }
}

/// Waits for a free slot first, so that clients beyond the limit stay in the system's queue.
async fn next(listener: &TcpListener, slots: &Arc<Semaphore>) -> Option<(OwnedSemaphorePermit, TcpStream, SocketAddr)> {
    let slot = slots.clone().acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => return Some((slot, stream, remote)),
            Err(error) => {
                warn!(%error, "cannot accept a connection to the API");
                tokio::time::sleep(REFUSED_WAIT).await;
            }
        }
    }
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        error!(%error, "a connection of the API panicked");
    }
}
