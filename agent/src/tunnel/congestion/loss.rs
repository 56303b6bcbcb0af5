//! The ceiling of tolerated loss: below it losses say nothing, above it for longer they are congestion.

/// The share of bytes that a path may lose without being taken for congested.
const CEILING: f64 = 0.12;
/// Fewer packets than this say nothing; a judgement waits for the next round then.
const PACKETS_MIN: u64 = 64;
/// Rounds above the ceiling that count as congestion.
const ROUNDS_ABOVE: u32 = 2;
/// What a congested round leaves of the limit.
const BACK_OFF: f64 = 0.85;
/// What a good round adds to the limit, as a factor.
const RECOVERY: f64 = 1.1;

/// How a round went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Loss within the ceiling.
    Fine,
    /// Above the ceiling, but not for long enough.
    Lossy,
    /// Congested: the limit went down.
    Congested,
}

/// Counts losses and limits the window, in bytes, while they persist.
#[derive(Clone, Debug, Default)]
pub(super) struct LossCeiling {
    acknowledged: u64,
    lost: u64,
    marked: bool,
    rounds_above: u32,
    limit: Option<f64>,
}

impl LossCeiling {
    pub(super) fn acknowledge(&mut self, bytes: u64) {
        self.acknowledged += bytes;
    }

    pub(super) fn lose(&mut self, bytes: u64) {
        self.lost += bytes;
    }

    /// Takes a congestion mark of the network: the round counts as congested.
    pub(super) fn mark(&mut self) {
        self.marked = true;
    }

    /// Judges the round that ends, which `window` bytes were allowed in.
    pub(super) fn end_round(&mut self, window: u64, packet_bytes: u64) -> Verdict {
        let total = self.lost + self.acknowledged;
        if total < PACKETS_MIN * packet_bytes && !self.marked {
            return Verdict::Fine;
        }
        let above = self.lost as f64 > total as f64 * CEILING;
        self.rounds_above = if above { self.rounds_above + 1 } else { 0 };
        (self.acknowledged, self.lost) = (0, 0);
        if std::mem::take(&mut self.marked) || self.rounds_above >= ROUNDS_ABOVE {
            self.limit = Some(self.limit.unwrap_or(f64::MAX).min(window as f64) * BACK_OFF);
            return Verdict::Congested;
        }
        if above {
            return Verdict::Lossy;
        }
        // A limit far above what is used no longer is one.
        self.limit = self.limit.map(|limit| limit * RECOVERY).filter(|limit| *limit < 4.0 * window as f64);
        Verdict::Fine
    }

    /// Returns the limit of the window in bytes.
    pub(super) fn limit(&self) -> f64 {
        self.limit.unwrap_or(f64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(ceiling: &mut LossCeiling, lost: u64) -> Verdict {
        ceiling.acknowledge(100_000 - lost);
        ceiling.lose(lost);
        ceiling.end_round(100_000, 1_000)
    }

    #[test]
    fn one_lossy_round_is_tolerated_and_two_are_congestion() {
        let mut ceiling = LossCeiling::default();
        assert_eq!(round(&mut ceiling, 11_000), Verdict::Fine);
        assert_eq!(round(&mut ceiling, 30_000), Verdict::Lossy);
        assert_eq!(round(&mut ceiling, 0), Verdict::Fine);
        assert_eq!(ceiling.limit(), f64::MAX);
        assert_eq!(round(&mut ceiling, 30_000), Verdict::Lossy);
        assert_eq!(round(&mut ceiling, 30_000), Verdict::Congested);
        assert_eq!(ceiling.limit(), 85_000.0);
    }

    #[test]
    fn the_limit_goes_away_after_good_rounds() {
        let mut ceiling = LossCeiling::default();
        ceiling.mark();
        assert_eq!(round(&mut ceiling, 0), Verdict::Congested);
        for _ in 0..30 {
            assert_eq!(round(&mut ceiling, 0), Verdict::Fine);
        }
        assert_eq!(ceiling.limit(), f64::MAX);
    }
}
