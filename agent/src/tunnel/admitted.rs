//! Whether the peer of a channel may still be here: by its statement, and by the mesh keys that it has proven to hold.

use crate::peer::{KeyId, MeshKeyRing, SignedStatement};
use crate::tunnel::channel::Channel;
use crate::tunnel::frame::Binary;
use crate::tunnel::shared::Shared;

/// Tells whether the directory admits the peer, and logs why it does not.
pub(super) fn judge(shared: &Shared, channel: &Channel, statement: &SignedStatement) -> bool {
    let judged = shared.judge(statement);
    if let Err(cause) = &judged {
        tracing::warn!(site = %channel.peer().name, channel = channel.id(), cause, "the peer is no longer admitted");
    }
    judged.is_ok()
}

/// Tells whether one of the keys is in force.
pub(super) fn holds_one_of(ring: &MeshKeyRing, ids: impl IntoIterator<Item = KeyId>) -> bool {
    ids.into_iter().any(|id| ring.find(id).is_some())
}

/// What a peer is admitted by, while nothing of its control stream can be handled.
pub(super) struct Admitted<'a> {
    pub(super) shared: &'a Shared,
    pub(super) channel: &'a Channel,
    pub(super) statement: &'a SignedStatement,
    /// Proofs of keys that this side may get later.
    pub(super) unproven: &'a [(KeyId, Binary)],
}

impl Admitted<'_> {
    /// Resolves when the peer is denied, or when it cannot have proven any of the mesh keys that are left.
    pub(super) async fn ended(&self) {
        let (mut ring, mut peers) = (self.shared.ring.clone(), self.shared.peers.subscribe());
        let claimed = || self.unproven.iter().map(|(id, _)| *id).chain(self.channel.proven_keys());
        loop {
            tokio::select! {
                Ok(()) = ring.changed() => if !holds_one_of(&ring.borrow_and_update(), claimed()) { return },
                Ok(()) = peers.changed() => {
                    peers.mark_unchanged();
                    if !judge(self.shared, self.channel, self.statement) {
                        return;
                    }
                }
                else => return std::future::pending().await,
            }
        }
    }
}
