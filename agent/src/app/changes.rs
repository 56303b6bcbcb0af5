//! One signal for a change of any part of the agent, which status, readiness and the state directory wait for.

use std::future::pending;
use std::sync::Arc;

use futures_util::future::select_all;
use tokio::sync::watch;

use crate::app::core::Core;
use crate::discovery::BrokerState;

/// Passes on changes of every part as changes of the agent.
pub(super) async fn follow(core: Arc<Core>) {
    let (mut channels, mut listeners) = (core.tunnels.subscribe(), core.forward.changes());
    let (mut sockets, mut peers, mut own) = (core.tunnels.sockets(), core.peers.subscribe(), core.own.clone());
    let mut sets = core.brokers.subscribe();
    let mut brokers = sets.borrow_and_update().clone();
    loop {
        tokio::select! {
            Ok(()) = channels.changed() => {}
            Ok(()) = listeners.changed() => {}
            Ok(()) = sockets.changed() => {}
            Ok(()) = peers.changed() => {}
            Ok(()) = own.changed() => {}
            Ok(()) = sets.changed() => brokers = sets.borrow_and_update().clone(),
            () = any_changed(&mut brokers) => {}
        }
        core.changed();
    }
}

/// Waits until a broker has another state than the last that was waited for.
async fn any_changed(brokers: &mut [watch::Receiver<BrokerState>]) {
    if brokers.is_empty() {
        return pending().await;
    }
    select_all(brokers.iter_mut().map(|broker| Box::pin(changed(broker)))).await;
}

/// Waits for one broker; one that has ended never changes again.
async fn changed(broker: &mut watch::Receiver<BrokerState>) {
    if broker.changed().await.is_err() {
        pending::<()>().await;
    }
}
