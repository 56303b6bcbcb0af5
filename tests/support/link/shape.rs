//! Decides what becomes of each packet: a bottleneck with a queue that drops its tail, then loss and delay. Pure.

use std::time::{Duration, Instant};

/// Bytes that a packet takes on the wire beyond its own: an Ethernet frame with its gap.
const FRAME_BYTES: usize = 38;

/// What one direction is like.
#[derive(Clone, Copy, Debug)]
pub struct ShapeSettings {
    /// One way.
    pub delay: Duration,
    /// Added to the delay, evenly distributed; packets keep their order.
    pub jitter: Duration,
    /// The share of packets that is lost, 0 to below 1.
    pub loss: f64,
    /// The mean length of a run of lost packets; 1 loses each packet alone.
    pub burst: f64,
    /// Bits per second of the bottleneck.
    pub rate: f64,
    /// How much time's worth of packets the queue before the bottleneck holds.
    pub queue: Duration,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives then.
    Due(Instant),
    /// Lost on the way.
    Lost,
    /// The queue was full.
    Dropped,
}

/// The state of one direction.
#[derive(Clone, Debug)]
pub struct Shape {
    settings: ShapeSettings,
    random: u64,
    /// When the bottleneck has sent all that waits.
    free: Option<Instant>,
    last_due: Option<Instant>,
    in_burst: bool,
}

impl Shape {
    /// Makes a direction whose losses follow from `seed`.
    pub fn new(settings: ShapeSettings, seed: u64) -> Self {
        Self { settings, random: seed | 1, free: None, last_due: None, in_burst: false }
    }

    /// Judges a packet of `bytes` that comes `now`.
    pub fn judge(&mut self, now: Instant, bytes: usize) -> Fate {
        let free = self.free.map_or(now, |free| free.max(now));
        if free - now > self.settings.queue {
            return Fate::Dropped;
        }
        let free = free + Duration::from_secs_f64((bytes + FRAME_BYTES) as f64 * 8.0 / self.settings.rate);
        self.free = Some(free);
        if self.is_lost() {
            return Fate::Lost;
        }
        let due = free + self.settings.delay + self.settings.jitter.mul_f64(self.random());
        let due = self.last_due.map_or(due, |last| last.max(due));
        self.last_due = Some(due);
        Fate::Due(due)
    }

    /// Two states: a burst is left so that its mean length is met, and entered so that the share is.
    fn is_lost(&mut self) -> bool {
        let ShapeSettings { loss, burst, .. } = self.settings;
        if burst <= 1.0 {
            return self.random() < loss;
        }
        let random = self.random();
        self.in_burst = if self.in_burst { random >= 1.0 / burst } else { random < loss / (1.0 - loss) / burst };
        self.in_burst
    }

    fn random(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: ShapeSettings = ShapeSettings {
        delay: Duration::from_millis(100),
        jitter: Duration::ZERO,
        loss: 0.0,
        burst: 1.0,
        rate: 8e6,
        queue: Duration::from_millis(10),
    };

    #[test]
    fn a_packet_takes_the_bottleneck_and_the_delay() {
        let now = Instant::now();
        let due = Shape::new(SETTINGS, 1).judge(now, 962);
        assert_eq!(due, Fate::Due(now + Duration::from_millis(101)));
    }

    #[test]
    fn a_full_queue_drops_its_tail_and_runs_empty_again() {
        let (now, mut shape) = (Instant::now(), Shape::new(SETTINGS, 1));
        let delivered = (0..50).filter(|_| shape.judge(now, 962) != Fate::Dropped).count();
        assert_eq!(delivered, 11);
        assert_ne!(shape.judge(now + Duration::from_millis(5), 962), Fate::Dropped);
    }

    #[test]
    fn losses_have_their_share_alone_or_in_bursts() {
        for burst in [1.0, 4.0] {
            let mut shape = Shape::new(ShapeSettings { loss: 0.05, burst, ..SETTINGS }, 7);
            let start = Instant::now();
            let fates: Vec<_> =
                (0..100_000).map(|at| shape.judge(start + Duration::from_millis(2 * at), 962)).collect();
            let lost = fates.iter().filter(|fate| **fate == Fate::Lost).count();
            let runs = fates.windows(2).filter(|pair| pair[0] != Fate::Lost && pair[1] == Fate::Lost).count();
            assert!((4_300..5_700).contains(&lost), "{lost}");
            assert!((lost as f64 / runs as f64 / burst - 1.0).abs() < 0.15, "{lost} in {runs} runs");
        }
    }

    #[test]
    fn jitter_keeps_the_order() {
        let mut shape = Shape::new(ShapeSettings { jitter: Duration::from_millis(50), ..SETTINGS }, 7);
        let (start, mut last) = (Instant::now(), None);
        for at in 0..1_000 {
            let Fate::Due(due) = shape.judge(start + Duration::from_millis(2 * at), 962) else { continue };
            assert!(last.is_none_or(|last| due >= last));
            last = Some(due);
        }
    }
}
