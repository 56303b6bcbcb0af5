//! Which replica writes: the holder of a Lease (coordination.k8s.io/v1).

use std::time::Duration;

use kube::Client;
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder, LeaseManagerError};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// The name of the Lease.
pub const LEASE: &str = "wovenet-operator";
/// How long a Lease holds after its last renewal, in seconds.
const LEASE_SECONDS: u64 = 15;
/// How long before its end a Lease is renewed, in seconds.
const RENEW_BEFORE_SECONDS: u64 = 5;

/// How long giving the Lease back may take.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Takes part in the election.
pub struct Election {
    /// Whether this replica leads.
    pub leads: watch::Receiver<bool>,
    /// Ends with an error when the Lease cannot be followed, or when `leads` is dropped.
    pub task: JoinHandle<Result<LeaseManager, LeaseManagerError>>,
}

impl Election {
    /// Gives the Lease back, so that another replica leads at once.
    ///
    /// # Errors
    /// When it cannot be given back; it runs out then.
    pub async fn leave(self) -> anyhow::Result<()> {
        drop(self.leads);
        timeout(LEAVE_TIMEOUT, self.task).await???;
        Ok(())
    }
}

/// Starts to take part, as `identity`.
///
/// # Errors
/// When the Lease can be neither made nor read.
pub async fn take_part(client: Client, namespace: &str, identity: &str) -> Result<Election, LeaseManagerError> {
    let manager = LeaseManagerBuilder::new(client, LEASE)
        .with_namespace(namespace)
        .with_identity(identity)
        .with_duration(LEASE_SECONDS)
        .with_grace(RENEW_BEFORE_SECONDS)
        .build()
        .await?;
    let (leads, task) = manager.watch().await;
    Ok(Election { leads, task })
}
