//! What goes into the directory besides statements, and what comes out of it.

use std::time::Instant;

use wovenet_config::key::SiteId;
use wovenet_config::name::SiteName;

/// The time of an event on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Milliseconds since 1970, of the wall clock; used only to refuse absurd generations.
    pub unix_ms: u64,
    /// The monotonic clock.
    pub instant: Instant,
}

/// How a statement reached us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A broker: a hint.
    MessageChannel,
    /// An authenticated peer.
    ControlStream,
    /// Our own state of an earlier run.
    Store,
}

/// What was learned from a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learning {
    /// A site or an agent that was not in the table.
    New,
    /// Other endpoints, versions or a new start of a known agent.
    Changed,
    /// The same again, fresher.
    Refreshed,
}

/// Why a statement or a key was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// This site itself.
    #[error("is this site itself")]
    Own,
    /// The key is denied by configuration.
    #[error("has a denied key")]
    Denied,
    /// Only listed keys are trusted.
    #[error("has a key that is not listed")]
    NotPinned,
    /// The same statement again.
    #[error("was seen before")]
    Replay,
    /// Older than what is known.
    #[error("is older than what is known")]
    Old,
    /// The name belongs to another key.
    #[error("has a name that is bound to site {bound_to}")]
    NameConflict {
        /// The site that has the name.
        bound_to: SiteId,
    },
    /// The key is listed with another name.
    #[error("has a key that is listed as site {listed_as}")]
    OtherName {
        /// The name in the configuration.
        listed_as: SiteName,
    },
    /// An unknown site whose clock is more than 48 h ahead.
    #[error("comes from an unknown site whose clock is far ahead")]
    FarFuture,
    /// No room, and nothing that may be dropped.
    #[error("finds no room in the table of sites")]
    Full,
}
