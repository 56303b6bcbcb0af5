//! The coordinator: decides what is announced and when, for all brokers at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::shared::Shared;
use crate::peer::statement::SignedStatement;

/// The middle of the interval between announcements (docs/protocol.md §3).
pub(super) const ROUND: Duration = Duration::from_secs(300);
/// How far rounds differ at random, as a fraction of [`ROUND`] either way.
const ROUND_SPREAD: f64 = 0.2;

/// What the brokers are to hold of this agent.
#[derive(Clone, Debug)]
pub(super) enum Outgoing {
    /// Nothing: it only dials, or other agents of the site announce.
    Silent,
    /// This statement.
    Announce(Arc<SignedStatement>),
}

/// The coordinator.
pub(super) struct Announcing {
    pub(super) shared: Arc<Shared>,
    pub(super) outgoing: watch::Sender<Outgoing>,
    pub(super) cancel: CancellationToken,
}

impl Announcing {
    /// Runs until cancelled.
    pub(super) async fn run(self) {
        let mut own = self.shared.own.clone();
        let mut peers = self.shared.peers.subscribe();
        let mut next_round = self.announce();
        loop {
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => return,
                Ok(()) = own.changed() => next_round = self.announce(),
                () = self.shared.own_agents_changed.notified() => if self.role_changed() { next_round = self.announce() },
                () = tokio::time::sleep_until(next_round.into()) => next_round = self.announce(),
                Ok(()) = peers.changed() => {}
            }
            self.shared.peers.read(|directory| self.shared.metrics.count_peers(directory));
        }
    }

    /// Gives the brokers' connections a fresh statement, and returns when the next one is due.
    fn announce(&self) -> Instant {
        let outgoing = if self.announces() { self.fresh() } else { Outgoing::Silent };
        let silent = matches!((&outgoing, &*self.outgoing.borrow()), (Outgoing::Silent, Outgoing::Silent));
        if !silent {
            self.outgoing.send_replace(outgoing);
        }
        Instant::now() + ROUND.mul_f64(1.0 + ROUND_SPREAD * (2.0 * rand::random::<f64>() - 1.0))
    }

    fn fresh(&self) -> Outgoing {
        let own = self.shared.own.borrow().clone();
        match own.sign(&self.shared.site_key, None) {
            Ok(signed) => Outgoing::Announce(Arc::new(signed)),
            Err(error) => {
                tracing::warn!(%error, "our statement cannot be made");
                Outgoing::Silent
            }
        }
    }

    fn announces(&self) -> bool {
        let reachable = !self.shared.own.borrow().base().endpoints.is_empty();
        let (site, agent) = (self.shared.site, &self.shared.agent);
        reachable && self.shared.own_agents.lock().is_announcer(site, agent, Instant::now())
    }

    fn role_changed(&self) -> bool {
        self.announces() != matches!(*self.outgoing.borrow(), Outgoing::Announce(_))
    }
}
