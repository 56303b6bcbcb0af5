//! Saves what is known of peers, so that a restart with every broker down finds them again.

use std::sync::Arc;
use std::time::Duration;

use crate::app::core::Core;

/// The least time between two saves.
const SAVE_EVERY: Duration = Duration::from_secs(2);

/// Saves at once after a change of the directory, but not more often than [`SAVE_EVERY`].
pub(super) async fn save_peers(core: Arc<Core>) {
    let mut changes = core.peers.subscribe();
    while changes.changed().await.is_ok() {
        let saving = core.clone();
        // A panic was told by the hook.
        tokio::task::spawn_blocking(move || saving.save_peers()).await.ok();
        // What changes meanwhile ends the next wait at once.
        tokio::time::sleep(SAVE_EVERY).await;
    }
}
