//! The machine, and how busy it is besides.

use std::collections::BTreeMap;

/// What figures depend on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    /// Load averages of one minute: the first before anything was started.
    pub(crate) load: Vec<f64>,
}

impl Machine {
    pub(crate) fn look() -> Self {
        let processors = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let processor = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Self {
            processor: processor.map_or("unknown", |(_, name)| name).to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
            load: load_average().into_iter().collect(),
        }
    }

    /// Looks at the load again.
    pub(crate) fn look_again(&mut self) {
        self.load.extend(load_average());
    }

    /// Describes it on one line.
    pub(crate) fn line(&self) -> String {
        let before = self.load.first().copied().unwrap_or_default();
        let highest = self.load.iter().copied().fold(before, f64::max);
        let Self { processor, cores, kernel, .. } = self;
        format!("{processor}, {cores} cores, Linux {kernel}; load {before:.2} before, up to {highest:.2} while it ran")
    }

    pub(crate) fn json(&self) -> BTreeMap<&'static str, serde_json::Value> {
        BTreeMap::from([
            ("processor", self.processor.clone().into()),
            ("cores", self.cores.into()),
            ("kernel", self.kernel.clone().into()),
            ("load_average", self.load.clone().into()),
        ])
    }
}

fn load_average() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_load_before_and_the_highest_are_told() {
        let machine = Machine { processor: "cpu".into(), cores: 2, kernel: "6.1".into(), load: vec![0.5, 3.25, 2.0] };
        assert_eq!(machine.line(), "cpu, 2 cores, Linux 6.1; load 0.50 before, up to 3.25 while it ran");
    }
}
