//! Lines of the log that others can cause, limited so that they cannot flood the disk: in, what happened to whom; out, one
//! line a second of each kind, with the number of those that were held back.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// The time between two lines of one key.
pub const LINE_INTERVAL: Duration = Duration::from_secs(1);

/// A log of `V`s, limited for each `K`. Someone must [run](LimitedLog::run) it, so that what was held back last is told.
#[derive(Debug)]
pub struct LimitedLog<K, V> {
    lines: Mutex<Lines<K, V>>,
    held_back: Notify,
    write: fn(&V, u64),
}

#[derive(Debug)]
struct Lines<K, V> {
    keys_max: usize,
    seen: BTreeMap<K, Seen<V>>,
}

#[derive(Debug)]
struct Seen<V> {
    written: Instant,
    /// How many were held back since, and the first of them.
    held_back: Option<(u64, V)>,
}

impl<K: Ord, V> LimitedLog<K, V> {
    /// Makes a log that tells `keys_max` keys apart at once; what more there are is not written. `write` gets what
    /// happened, and how many of its kind were held back since the line before.
    pub fn new(keys_max: usize, write: fn(&V, u64)) -> Self {
        Self { lines: Mutex::new(Lines { keys_max, seen: BTreeMap::new() }), held_back: Notify::new(), write }
    }

    /// Writes a line now, or holds it back.
    pub fn line(&self, key: K, what: impl FnOnce() -> V) {
        let written = self.lines.lock().admit(key, what, Instant::now());
        match written {
            Some((what, suppressed)) => (self.write)(&what, suppressed),
            None => self.held_back.notify_one(),
        }
    }

    /// Writes what was held back and not followed by another line, within two intervals; at the end, all of it.
    pub async fn run(&self, stop: CancellationToken) {
        while stop.run_until_cancelled(self.interval_over()).await.is_some() {
            self.write_due(Some(Instant::now()));
        }
        self.write_due(None);
    }

    async fn interval_over(&self) {
        self.held_back.notified().await;
        sleep(LINE_INTERVAL).await;
    }

    fn write_due(&self, now: Option<Instant>) {
        let due = self.lines.lock().take_due(now);
        due.iter().for_each(|(what, suppressed)| (self.write)(what, *suppressed));
    }
}

impl<K: Ord, V> Lines<K, V> {
    /// Tells whether a line is due, and how many were suppressed since the last one.
    fn admit(&mut self, key: K, what: impl FnOnce() -> V, now: Instant) -> Option<(V, u64)> {
        if let Some(seen) = self.seen.get_mut(&key) {
            if now.duration_since(seen.written) < LINE_INTERVAL {
                seen.held_back.get_or_insert_with(|| (0, what())).0 += 1;
                return None;
            }
            seen.written = now;
            let suppressed = seen.held_back.take().map_or(0, |(count, _)| count);
            return Some((what(), suppressed));
        }
        if self.seen.len() >= self.keys_max {
            self.seen.retain(|_, seen| seen.held_back.is_some() || now.duration_since(seen.written) < LINE_INTERVAL);
        }
        if self.seen.len() >= self.keys_max {
            return None;
        }
        self.seen.insert(key, Seen { written: now, held_back: None });
        Some((what(), 0))
    }

    /// Takes what was held back, of the keys whose interval is over by `now`, or of all. The first stands for the others.
    fn take_due(&mut self, now: Option<Instant>) -> Vec<(V, u64)> {
        let is_due = |seen: &&mut Seen<V>| now.is_none_or(|now| now.duration_since(seen.written) >= LINE_INTERVAL);
        let mut due = Vec::new();
        for seen in self.seen.values_mut().filter(is_due) {
            if let Some((count, first)) = seen.held_back.take() {
                due.push((first, count - 1));
                seen.written = now.unwrap_or(seen.written);
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn admit(lines: &mut Lines<u64, ()>, key: u64, now: Instant) -> Option<u64> {
        lines.admit(key, || (), now).map(|(_, suppressed)| suppressed)
    }

    #[test]
    fn a_flood_of_one_kind_is_one_line_a_second_with_its_count() {
        let (mut lines, start) = (Lines { keys_max: 2, seen: BTreeMap::new() }, Instant::now());
        assert_eq!(admit(&mut lines, 1, start), Some(0));
        for _ in 0..999 {
            assert_eq!(admit(&mut lines, 1, start + LINE_INTERVAL / 2), None);
        }
        assert_eq!(admit(&mut lines, 1, start + LINE_INTERVAL), Some(999));
    }

    #[test]
    fn another_kind_is_not_suppressed_and_memory_is_bounded() {
        let (mut lines, start) = (Lines { keys_max: 100, seen: BTreeMap::new() }, Instant::now());
        let told = (0..200).filter(|key| admit(&mut lines, *key, start).is_some()).count();
        assert_eq!((told, lines.seen.len()), (100, 100));
        assert_eq!(admit(&mut lines, 200, start + LINE_INTERVAL), Some(0));
    }

    #[test]
    fn what_was_held_back_is_due_when_its_interval_is_over() {
        let (mut lines, start) = (Lines { keys_max: 2, seen: BTreeMap::new() }, Instant::now());
        for _ in 0..4 {
            admit(&mut lines, 1, start);
        }
        assert_eq!(lines.take_due(Some(start + LINE_INTERVAL / 2)), []);
        assert_eq!(lines.take_due(Some(start + LINE_INTERVAL)), [((), 2)]);
        assert_eq!(lines.take_due(None), []);
    }

    static WRITTEN: AtomicU64 = AtomicU64::new(0);

    #[tokio::test(start_paused = true)]
    async fn the_last_count_is_written_without_another_line_and_at_the_end() {
        let log = Arc::new(LimitedLog::new(1, |(), more| _ = WRITTEN.fetch_add(1 + more, Ordering::Relaxed)));
        let (stop, running) = (CancellationToken::new(), log.clone());
        let task = tokio::spawn({
            let stop = stop.clone();
            async move { running.run(stop).await }
        });
        for _ in 0..10 {
            log.line(1, || ());
        }
        assert_eq!(WRITTEN.load(Ordering::Relaxed), 1);
        sleep(2 * LINE_INTERVAL).await;
        assert_eq!(WRITTEN.load(Ordering::Relaxed), 10);
        log.line(1, || ());
        log.line(1, || ());
        stop.cancel();
        task.await.unwrap();
        assert_eq!(WRITTEN.load(Ordering::Relaxed), 12);
    }
}
