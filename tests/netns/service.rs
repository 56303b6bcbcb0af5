//! What a client that never stops to connect saw.

use std::time::Duration;

use wovenet_tests::netns::{Event, TestPeer};

/// The longest that a client may be left without an outcome: `connectTimeout`, and a second in which a busy
/// machine gets round to run the client.
pub const LONGEST_WAIT: Duration = Duration::from_secs(5 + 1);

/// Tries since some moment.
#[derive(Debug)]
#[expect(dead_code, reason = "printed")]
pub struct Service {
    /// How many tries were made.
    pub tries: usize,
    /// How many of them failed.
    pub failures: usize,
    /// How long the longest one took.
    pub longest: Duration,
    /// From the moment on until no try failed any more.
    pub back_after: Duration,
}

/// Follows `clients` until everything that was tried for a while after the last failure since `since_ms` went well.
pub fn follow(clients: &TestPeer, since_ms: u64, calm: Duration) -> anyhow::Result<Service> {
    let calm_ms = u64::try_from(calm.as_millis())?;
    clients.wait_until("clients are served again", |events| {
        let tries: Vec<&Event> = events.iter().filter(|event| event.began() >= since_ms).collect();
        let last_failure = tries.iter().filter(|event| event.outcome() != "ok").map(|event| event.began()).max();
        // Tries end in any order: all that began in the first half of the calm have ended.
        let first_well = tries
            .iter()
            .filter(|event| event.outcome() == "ok" && last_failure.is_none_or(|failure| event.began() > failure))
            .min_by_key(|event| event.began())?;
        let latest = tries.iter().map(|event| event.began()).max()?;
        (latest >= first_well.began() + calm_ms).then(|| Service {
            tries: tries.len(),
            failures: tries.iter().filter(|event| event.outcome() != "ok").count(),
            longest: tries.iter().map(|event| event.took()).max().unwrap_or_default(),
            back_after: Duration::from_millis(first_well.began() - since_ms) + first_well.took(),
        })
    })
}
