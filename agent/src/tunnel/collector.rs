//! Per-site metrics of channels, read from the library's own counts when they are asked for.

mod counters;
mod gauges;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

use self::counters::{Counters, Counts};
use self::gauges::Gauges;
use crate::tunnel::channel::ChannelId;
use crate::tunnel::registry::Registry;

/// The most sites whose counters are kept. Peers choose their names; of more, the ones that are gone for longest are dropped.
pub const COUNTED_SITES_MAX: usize = 1_024;

/// The most ends of channels, by site and reason, that wait for a scrape; more are not counted.
const ENDS_MAX: usize = 4 * COUNTED_SITES_MAX;

/// Ends of channels since the last scrape, by site and reason.
#[derive(Clone, Debug, Default)]
pub(super) struct Ends(Arc<Mutex<BTreeMap<(String, &'static str), u64>>>);

impl Ends {
    pub(super) fn note(&self, site: &str, reason: &'static str) {
        let mut ends = self.0.lock();
        let key = (site.to_owned(), reason);
        if ends.len() < ENDS_MAX || ends.contains_key(&key) {
            *ends.entry(key).or_default() += 1;
        }
    }
}

/// What was seen of a channel so far.
#[derive(Default)]
struct Seen {
    counts: Counts,
    /// The shortest round trip at any scrape.
    min_round_trip: Option<Duration>,
}

/// Collects at each scrape: gauges anew, counters by what was added since the last scrape.
pub(super) struct ChannelCollector {
    registry: Registry,
    gauges: Gauges,
    counters: Counters,
    ends: Ends,
    seen: Mutex<BTreeMap<ChannelId, Seen>>,
    counted: Mutex<CountedSites>,
}

/// The sites that have counters, and at which scrape each last had a channel.
#[derive(Default)]
struct CountedSites {
    scrapes: u64,
    last: BTreeMap<String, u64>,
}

impl CountedSites {
    /// Notes the sites that have channels now, and returns those to forget.
    fn note<'a>(&mut self, sites: impl Iterator<Item = &'a str>) -> Vec<String> {
        self.scrapes += 1;
        self.last.extend(sites.map(|site| (site.to_owned(), self.scrapes)));
        let mut gone: Vec<_> = self.last.iter().map(|(site, scrape)| (*scrape, site.clone())).collect();
        gone.sort();
        gone.truncate(gone.len().saturating_sub(COUNTED_SITES_MAX));
        let gone: Vec<_> = gone.into_iter().map(|(_, site)| site).collect();
        self.last.retain(|site, _| !gone.contains(site));
        gone
    }
}

impl ChannelCollector {
    pub(super) fn new(registry: Registry, ends: Ends) -> prometheus::Result<Self> {
        Ok(Self {
            registry,
            gauges: Gauges::new()?,
            counters: Counters::new()?,
            ends,
            seen: Mutex::default(),
            counted: Mutex::default(),
        })
    }

    fn collectors(&self) -> impl Iterator<Item = &dyn Collector> {
        self.gauges.collectors().into_iter().chain(self.counters.collectors())
    }

    fn sample(&self) {
        let channels = self.registry.all();
        let ends = std::mem::take(&mut *self.ends.0.lock());
        ends.iter().for_each(|((site, reason), count)| self.counters.count_ends(site, reason, *count));
        let live = channels.iter().map(|channel| channel.peer().name.as_str());
        let forgotten = self.counted.lock().note(live.chain(ends.keys().map(|(site, _)| site.as_str())));
        forgotten.iter().for_each(|site| self.counters.forget(site));
        self.gauges.begin(&channels);
        let mut seen = self.seen.lock();
        seen.retain(|id, _| channels.iter().any(|channel| channel.id() == *id));
        for channel in &channels {
            let seen = seen.entry(channel.id()).or_default();
            seen.min_round_trip = seen.min_round_trip.into_iter().chain([channel.round_trip()]).min();
            self.gauges.add(channel, seen.min_round_trip.unwrap_or_default());
            seen.counts = self.counters.add(channel, &seen.counts);
        }
    }
}

impl Collector for ChannelCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.collectors().flat_map(|collector| collector.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.sample();
        self.collectors().flat_map(|collector| collector.collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_sites_the_ones_that_are_gone_for_longest_are_forgotten() {
        let mut counted = CountedSites::default();
        assert_eq!(counted.note(["old", "stays"].into_iter()), [""; 0]);
        let many: Vec<String> = (0..COUNTED_SITES_MAX - 1).map(|number| format!("site-{number}")).collect();
        let names = || many.iter().map(String::as_str).chain(["stays"]);
        assert_eq!(counted.note(names()), ["old"]);
        assert_eq!(counted.note(names()), [""; 0]);
    }
}
