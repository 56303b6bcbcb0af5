//! What every handler of the API works with.

use std::ops::Deref;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::access_log::AccessLog;
use super::agent::Agent;
use super::attempts::Attempts;
use super::auth::Credentials;
use super::editor::EditorHandle;

/// Shared by all connections of one server; cheap to clone.
#[derive(Clone)]
pub(super) struct Shared(Arc<Parts>);

pub(super) struct Parts {
    /// The agent behind the API.
    pub agent: Arc<dyn Agent>,
    /// Changes configurations, one at a time.
    pub editor: EditorHandle,
    /// Who may use the API.
    pub credentials: Credentials,
    /// Who has shown wrong credentials lately.
    pub attempts: Attempts,
    /// Where requests are logged.
    pub access_log: AccessLog,
    /// Tells versions of this process from those of the one before.
    pub process: u64,
    /// Ends long polls.
    pub stop: CancellationToken,
}

impl From<Parts> for Shared {
    fn from(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for Shared {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0
    }
}
