//! A bottleneck link and flows across it under virtual time: no clock, no IO, the same result each time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use crate::tunnel::congestion::model::Model;

/// The size of every simulated packet, in bytes.
pub(super) const PACKET: u64 = 1_200;
/// Packets that must be acknowledged after a missing one for it to count as lost, as in the library.
const REORDERING: u64 = 3;

/// What limits a flow. Implemented by the controller under test and by a competitor.
pub(super) trait Sender {
    fn acknowledge(&mut self, now: Instant, sent: Instant, in_flight: u64, app_limited: bool);
    fn lose(&mut self, now: Instant, sent: Instant, persistent: bool);
    fn window(&self) -> u64;
}

impl Sender for Model {
    fn acknowledge(&mut self, now: Instant, sent: Instant, in_flight: u64, app_limited: bool) {
        Model::acknowledge(self, now, sent, PACKET);
        self.end_acknowledgements(now, in_flight, app_limited);
    }

    fn lose(&mut self, _now: Instant, _sent: Instant, persistent: bool) {
        if persistent { self.start_again() } else { Model::lose(self, PACKET) }
    }

    fn window(&self) -> u64 {
        Model::window(self)
    }
}

/// CUBIC with slow start (RFC 9438), in packets.
pub(super) struct Cubic {
    window: f64,
    threshold: f64,
    maximum: f64,
    epoch: Option<Instant>,
    recovery: Option<Instant>,
}

impl Cubic {
    pub(super) fn new() -> Self {
        Self { window: 10.0, threshold: f64::MAX, maximum: 0.0, epoch: None, recovery: None }
    }
}

impl Sender for Cubic {
    fn acknowledge(&mut self, now: Instant, sent: Instant, _in_flight: u64, app_limited: bool) {
        if app_limited || self.recovery.is_some_and(|since| sent <= since) {
            return;
        }
        if self.window < self.threshold {
            self.window += 1.0;
            return;
        }
        let time = (now - *self.epoch.get_or_insert(now)).as_secs_f64();
        let round_trip = (now - sent).as_secs_f64();
        let flat = (self.maximum * 0.3 / 0.4).cbrt();
        let target = 0.4 * (time + round_trip - flat).powi(3) + self.maximum;
        let friendly = self.maximum * 0.7 + 0.53 * time / round_trip;
        self.window += ((target.max(friendly) - self.window) / self.window).clamp(0.0, 0.5);
    }

    fn lose(&mut self, now: Instant, sent: Instant, _persistent: bool) {
        if self.recovery.is_none_or(|since| sent > since) {
            (self.recovery, self.epoch, self.maximum) = (Some(now), None, self.window);
            self.window = (self.window * 0.7).max(2.0);
            self.threshold = self.window;
        }
    }

    fn window(&self) -> u64 {
        (self.window * PACKET as f64) as u64
    }
}

/// How the link loses packets beside those that its queue has no room for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Loss {
    /// Each packet alone.
    Random(f64),
    /// In bursts of this many packets on average.
    Bursts { share: f64, packets: f64 },
}

/// The bottleneck.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    /// Bits per second.
    pub(super) rate: f64,
    pub(super) round_trip: Duration,
    /// How much time's worth of packets the queue holds.
    pub(super) queue: Duration,
    pub(super) loss: Loss,
}

/// One flow and what became of it.
pub(super) struct Flow {
    pub(super) control: Box<dyn Sender>,
    /// Bits per second that the application offers; `None` is all it can.
    pub(super) demand: Option<f64>,
    pub(super) delivered: u64,
    pub(super) lost: u64,
    /// Round trip times since the last [`Simulation::forget`], in milliseconds.
    pub(super) round_trips: Vec<f64>,
    pub(super) most_in_flight: u64,
    sent: VecDeque<Option<Instant>>,
    first: u64,
    in_flight: u64,
    smoothed: Duration,
    next: Instant,
    wakes: bool,
    last_acknowledged: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Acknowledge(u64),
    Send,
    Check,
}

/// Flows on one link.
pub(super) struct Simulation {
    pub(super) link: Link,
    pub(super) flows: Vec<Flow>,
    pub(super) now: Instant,
    free: Instant,
    events: BinaryHeap<Reverse<(Instant, u64, usize, Event)>>,
    count: u64,
    random: u64,
    bad: bool,
}

impl Simulation {
    pub(super) fn new(link: Link, seed: u64) -> Self {
        let now = Instant::now();
        let random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Self { link, flows: vec![], now, free: now, events: BinaryHeap::new(), count: 0, random, bad: false }
    }

    pub(super) fn add(&mut self, control: Box<dyn Sender>, demand: Option<f64>) {
        let now = self.now;
        self.flows.push(Flow {
            control,
            demand,
            delivered: 0,
            lost: 0,
            round_trips: vec![],
            most_in_flight: 0,
            sent: VecDeque::new(),
            first: 0,
            in_flight: 0,
            smoothed: self.link.round_trip,
            next: now,
            wakes: false,
            last_acknowledged: now,
        });
        let flow = self.flows.len() - 1;
        self.schedule(now, flow, Event::Check);
        self.send(flow);
    }

    /// Adds the controller under test.
    pub(super) fn add_model(&mut self) {
        self.add(Box::new(Model::new(self.now, PACKET as u16)), None);
    }

    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(Reverse((at, _, flow, event))) = self.events.peek().copied().filter(|next| next.0.0 <= end) {
            self.events.pop();
            self.now = at;
            match event {
                Event::Acknowledge(packet) => self.acknowledge(flow, packet),
                Event::Send => self.flows[flow].wakes = false,
                Event::Check => self.check(flow),
            }
            self.send(flow);
        }
        self.now = end;
    }

    /// Forgets what the flows delivered, to measure from here on.
    pub(super) fn forget(&mut self) {
        for flow in &mut self.flows {
            (flow.delivered, flow.lost, flow.most_in_flight) = (0, 0, 0);
            flow.round_trips.clear();
        }
    }

    /// Runs for `time` and returns the share of the link that each flow had.
    pub(super) fn shares(&mut self, time: Duration) -> Vec<f64> {
        self.forget();
        self.run(time);
        let capacity = self.link.rate * time.as_secs_f64() / 8.0;
        self.flows.iter().map(|flow| flow.delivered as f64 / capacity).collect()
    }

    fn schedule(&mut self, at: Instant, flow: usize, event: Event) {
        self.count += 1;
        self.events.push(Reverse((at, self.count, flow, event)));
    }

    fn acknowledge(&mut self, index: usize, packet: u64) {
        let now = self.now;
        let flow = &mut self.flows[index];
        let Some(sent) = packet.checked_sub(flow.first).and_then(|at| flow.sent[at as usize].take()) else { return };
        let sample = now - sent;
        flow.smoothed = (flow.smoothed * 7 + sample) / 8;
        flow.round_trips.push(sample.as_secs_f64() * 1e3);
        flow.last_acknowledged = now;
        flow.in_flight -= PACKET;
        flow.delivered += PACKET;
        let app_limited = flow.demand.is_some() && flow.in_flight < flow.control.window() && flow.next > now;
        flow.control.acknowledge(now, sent, flow.in_flight, app_limited);
        while flow.first < packet.saturating_sub(REORDERING) {
            flow.first += 1;
            if let Some(sent) = flow.sent.pop_front().flatten() {
                flow.drop_packet(now, sent, false);
            }
        }
    }

    /// Gives up what is in flight after a long silence, as a probe timeout would find.
    fn check(&mut self, index: usize) {
        let now = self.now;
        let flow = &mut self.flows[index];
        if now - flow.last_acknowledged > flow.smoothed * 3 + Duration::from_millis(100) {
            flow.last_acknowledged = now;
            flow.first += flow.sent.len() as u64;
            for sent in std::mem::take(&mut flow.sent).into_iter().flatten() {
                flow.drop_packet(now, sent, true);
            }
        }
        self.schedule(now + Duration::from_millis(50), index, Event::Check);
    }

    fn send(&mut self, index: usize) {
        loop {
            let now = self.now;
            let flow = &mut self.flows[index];
            let window = flow.control.window();
            if flow.in_flight + PACKET > window {
                return;
            }
            if flow.next > now {
                let next = flow.next;
                if !std::mem::replace(&mut flow.wakes, true) {
                    self.schedule(next, index, Event::Send);
                }
                return;
            }
            let paced = window as f64 * 1.25 / flow.smoothed.as_secs_f64();
            let rate = flow.demand.map_or(paced, |demand| paced.min(demand / 8.0));
            // A pacer lets a few packets through at once.
            flow.next = flow.next.max(now - Duration::from_millis(1)) + Duration::from_secs_f64(PACKET as f64 / rate);
            let packet = flow.first + flow.sent.len() as u64;
            flow.sent.push_back(Some(now));
            flow.in_flight += PACKET;
            flow.most_in_flight = flow.most_in_flight.max(flow.in_flight);
            if let Some(at) = self.cross() {
                self.schedule(at, index, Event::Acknowledge(packet));
            }
        }
    }

    /// Returns when a packet that leaves now is acknowledged, unless it is lost.
    fn cross(&mut self) -> Option<Instant> {
        self.free = self.free.max(self.now);
        if self.free - self.now > self.link.queue {
            return None;
        }
        self.free += Duration::from_secs_f64(PACKET as f64 * 8.0 / self.link.rate);
        (!self.is_lost()).then_some(self.free + self.link.round_trip)
    }

    fn is_lost(&mut self) -> bool {
        let random = self.random();
        match self.link.loss {
            Loss::Random(share) => random < share,
            Loss::Bursts { share, packets } => {
                let leave = 1.0 / packets;
                self.bad = if self.bad { random >= leave } else { random < leave * share / (1.0 - share) };
                self.bad
            }
        }
    }

    fn random(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1u64 << 53) as f64
    }
}

impl Flow {
    fn drop_packet(&mut self, now: Instant, sent: Instant, persistent: bool) {
        self.in_flight -= PACKET;
        self.lost += PACKET;
        self.control.lose(now, sent, persistent);
    }

    /// Returns the median of the round trip times in milliseconds.
    pub(super) fn median_round_trip(&self) -> f64 {
        let mut sorted = self.round_trips.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::MAX)
    }
}
