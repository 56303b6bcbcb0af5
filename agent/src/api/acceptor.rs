//! Accepts connections, up to a number at once, and owns the task of each.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::limits::Limits;
use super::places::{Place, Places};

/// The wait after the system refused a connection, such as without free file descriptors.
const REFUSED_WAIT: Duration = Duration::from_millis(200);

/// The accept loop of one listening socket.
pub(super) struct Acceptor<S> {
    /// Where clients connect.
    pub listener: TcpListener,
    /// Connections at once, in all and of one address.
    pub limits: Limits,
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
        let slots = Arc::new(Semaphore::new(self.limits.connections));
        let places = Places::new(self.limits.per_address);
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                Some(ended) = tasks.join_next() => report(ended),
                Some(client) = next(&self.listener, &slots, &places) => {
                    let serving = (self.serve)(client.stream, client.remote);
                    let held = (client.slot, client.place);
                    tasks.spawn(async move {
                        serving.await;
                        drop(held);
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

/// A connection that was accepted, and what it takes of the limits.
struct Client {
    stream: TcpStream,
    remote: SocketAddr,
    slot: OwnedSemaphorePermit,
    place: Place,
}

/// Waits for a free slot first, so that clients beyond the limit stay in the system's queue. A client of an address with
/// all its connections is closed instead: in the queue it would stand before others.
async fn next(listener: &TcpListener, slots: &Arc<Semaphore>, places: &Places) -> Option<Client> {
    let slot = slots.clone().acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => match places.take(remote.ip()) {
                Some(place) => return Some(Client { stream, remote, slot, place }),
                None => debug!(remote_addr = %remote, "an address has all its connections to the API"),
            },
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
