//! The audit log of refused streams, limited so that a peer cannot flood the disk.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use wovenet_config::key::SiteId;
use wovenet_config::name::AppName;

use crate::forward::access::Cause;
use crate::peer::PeerIdentity;

/// The time between two lines of one site, app and cause.
const LINE_INTERVAL: Duration = Duration::from_secs(1);
/// The most combinations that are told apart; further ones are only counted by the metric.
const KEYS_MAX: usize = 4_096;

/// Who was refused what and why. An app that is not configured here has no key of its own: a peer could name many.
type Key = (SiteId, Option<AppName>, Cause);

/// Writes the audit log.
#[derive(Debug, Default)]
pub(super) struct Audit {
    limiter: Mutex<Limiter>,
}

#[derive(Debug, Default)]
struct Limiter {
    seen: BTreeMap<Key, Seen>,
}

#[derive(Debug)]
struct Seen {
    logged: Instant,
    suppressed: u64,
}

impl Audit {
    /// Logs a refused stream, or counts it for the next line. `known` tells that an app of this name is exposed here.
    pub(super) fn refused(&self, peer: &PeerIdentity, app: &AppName, known: bool, cause: Cause) {
        let key = (peer.site, known.then(|| app.clone()), cause);
        let line = self.limiter.lock().admit(key, Instant::now());
        if let Some(suppressed) = line {
            let (site, cause) = (&peer.name, cause.label());
            tracing::info!(target: "audit", %site, peer = %peer.site, app = app.as_str(), cause, suppressed, "stream refused");
        }
    }
}

impl Limiter {
    /// Tells whether a line is due, and how many were suppressed since the last one.
    fn admit(&mut self, key: Key, now: Instant) -> Option<u64> {
        if let Some(seen) = self.seen.get_mut(&key) {
            if now.duration_since(seen.logged) < LINE_INTERVAL {
                seen.suppressed += 1;
                return None;
            }
            seen.logged = now;
            return Some(std::mem::take(&mut seen.suppressed));
        }
        if self.seen.len() >= KEYS_MAX {
            self.seen.retain(|_, seen| now.duration_since(seen.logged) < LINE_INTERVAL);
        }
        if self.seen.len() >= KEYS_MAX {
            return None;
        }
        self.seen.insert(key, Seen { logged: now, suppressed: 0 });
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_one_kind_is_one_line_a_second_with_its_count() {
        let (mut limiter, start) = (Limiter::default(), Instant::now());
        let key = || (SiteId::from_hash(&[1; 32]), None, Cause::UnknownApp);
        assert_eq!(limiter.admit(key(), start), Some(0));
        for _ in 0..999 {
            assert_eq!(limiter.admit(key(), start + LINE_INTERVAL / 2), None);
        }
        assert_eq!(limiter.admit(key(), start + LINE_INTERVAL), Some(999));
    }

    #[test]
    fn another_site_or_cause_is_not_suppressed_and_memory_is_bounded() {
        let (mut limiter, start) = (Limiter::default(), Instant::now());
        assert_eq!(limiter.admit((SiteId::from_hash(&[1; 32]), None, Cause::UnknownApp), start), Some(0));
        assert_eq!(limiter.admit((SiteId::from_hash(&[1; 32]), None, Cause::TargetDenied), start), Some(0));
        for number in 0..2 * KEYS_MAX as u64 {
            let mut hash = [2u8; 32];
            hash[..8].copy_from_slice(&number.to_be_bytes());
            limiter.admit((SiteId::from_hash(&hash), None, Cause::UnknownApp), start);
        }
        assert_eq!(limiter.seen.len(), KEYS_MAX);
        let later = start + LINE_INTERVAL;
        assert_eq!(limiter.admit((SiteId::from_hash(&[3; 32]), None, Cause::UnknownApp), later), Some(0));
    }
}
