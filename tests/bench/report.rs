//! Medians, spread and ratios.

use std::collections::BTreeMap;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sample {
    BulkOne,
    BulkEight,
    CpuPerGigabyte,
    ConnectsAlone,
    ConnectsEight,
    IdleBytes,
    FirstByteMs,
}

impl Sample {
    const ALL: [Self; 7] = [
        Self::BulkOne,
        Self::BulkEight,
        Self::CpuPerGigabyte,
        Self::ConnectsAlone,
        Self::ConnectsEight,
        Self::IdleBytes,
        Self::FirstByteMs,
    ];

    fn title(self) -> &'static str {
        match self {
            Self::BulkOne => "one bulk stream, Gbit/s",
            Self::BulkEight => "eight bulk streams, Gbit/s",
            Self::CpuPerGigabyte => "CPU of both ends, s/GB",
            Self::ConnectsAlone => "connects/s, one at a time",
            Self::ConnectsEight => "connects/s, eight at once",
            Self::IdleBytes => "memory per idle connection and process, bytes",
            Self::FirstByteMs => "start of both agents to first byte, ms",
        }
    }
}

/// Everything that was measured.
#[derive(Debug, Default)]
pub(crate) struct Report {
    samples: BTreeMap<Sample, BTreeMap<String, Vec<f64>>>,
    order: Vec<String>,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn add(&mut self, contender: &str, sample: Sample, value: f64) {
        if !self.order.iter().any(|name| name == contender) {
            self.order.push(contender.to_owned());
        }
        self.samples.entry(sample).or_default().entry(contender.to_owned()).or_default().push(value);
    }

    /// Renders a table for people: median (lowest–highest), and wovenet's ratio to each.
    pub(crate) fn table(&self) -> String {
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let mut text = format!("\nmedian (lowest to highest); load average of the machine: {}\n", load.trim());
        for sample in Sample::ALL {
            let Some(values) = self.samples.get(&sample) else { continue };
            text.push_str(&format!("\n{}\n", sample.title()));
            let own = values.get("wovenet").map(|values| median(values));
            for name in self.order.iter().filter(|name| values.contains_key(*name)) {
                let all = &values[name];
                let (low, high) = (lowest(all), all.iter().copied().fold(0.0, f64::max));
                let ratio = match own {
                    Some(own) if name != "wovenet" && median(all) > 0.0 => {
                        format!("  wovenet {:.2}x", own / median(all))
                    }
                    _ => String::new(),
                };
                text.push_str(&format!("  {name:<14}{:>12.2}  ({low:.2} to {high:.2}){ratio}\n", median(all)));
            }
        }
        text
    }

    /// Renders everything that was measured.
    pub(crate) fn json(&self) -> String {
        let samples: BTreeMap<&str, _> = self.samples.iter().map(|(sample, values)| (sample.title(), values)).collect();
        serde_json::to_string_pretty(&samples).unwrap_or_default()
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

fn lowest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}
