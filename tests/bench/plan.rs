//! What one run measures, part by part, and how long that takes. Pure.

use std::time::Duration;

use crate::arguments::RunArguments;
use crate::bulk::Window;
use crate::figures::Measure;
use crate::scene::Scene;
use crate::tunnels::{Congestion, Kind, Tunnel};

/// Starting the two sides of a part, and ending them.
const PART_TIME: Duration = Duration::from_secs(2);
/// Starting one tunnel.
const TUNNEL_TIME: Duration = Duration::from_millis(600);
/// Starting the clients of one measurement.
const MEASURE_TIME: Duration = Duration::from_millis(100);
/// Connections that a tunnel takes in a second, about.
const CONNECTS_PER_SECOND: usize = 700;
/// How long held connections settle.
pub(crate) const SETTLE: Duration = Duration::from_secs(2);
/// Bytes flow for so long before the link goes down.
pub(crate) const BEFORE_OUTAGE: Duration = Duration::from_secs(3);
/// How long the link is down.
pub(crate) const OUTAGE: Duration = Duration::from_secs(5);
/// How long a tunnel takes to recover, about.
const RECOVERY_TIME: Duration = Duration::from_secs(2);
/// How long new connections are made while a channel is cut: longer than until it is given up.
pub(crate) const CUT: Duration = Duration::from_secs(20);
/// How long an end that was killed takes to be of use again, about.
const RESTART_TIME: Duration = Duration::from_secs(1);
/// The first of two flows is under way before the second begins.
pub(crate) const HEAD_START: Duration = Duration::from_millis(500);

/// Idle connections of a full run and of a quick one.
const IDLE: [usize; 2] = [1_000, 9_000];
/// Links that lose packets, of a full run.
const LOSSY: [Scene; 4] = [Scene::Lossy, Scene::VeryLossy, Scene::Bursts, Scene::Long];

/// The parts by the names that people choose them with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum PartName {
    /// Memory of idle connections.
    Idle,
    /// Rates, times and CPU where nothing but the machine limits.
    Veth,
    /// Rates over links that lose packets.
    Loss,
    /// Times beside a full queue, and after an outage.
    Queue,
    /// Fairness beside TCP.
    Share,
    /// Ends that are killed, and a channel that is cut.
    Failure,
}

/// Tunnels that are measured in turn in one scene.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Part {
    pub(crate) name: PartName,
    pub(crate) scene: Scene,
    pub(crate) rounds: usize,
    pub(crate) window: Window,
    pub(crate) tunnels: Vec<Tunnel>,
    pub(crate) measures: Vec<Measure>,
}

/// Returns the parts of a run in their order.
pub(crate) fn parts(arguments: &RunArguments) -> Vec<Part> {
    let mut parts = if arguments.quick { quick() } else { full() };
    parts.retain(|part| arguments.only.is_empty() || arguments.only.contains(&part.name));
    for part in &mut parts {
        adjust(part, arguments);
    }
    parts
}

/// Returns how long the parts take, about.
pub(crate) fn estimate(parts: &[Part]) -> Duration {
    parts.iter().map(Part::time).sum()
}

fn adjust(part: &mut Part, arguments: &RunArguments) {
    part.window.time = arguments.seconds.unwrap_or(part.window.time);
    if part.name != PartName::Idle {
        part.rounds = arguments.rounds.unwrap_or(part.rounds).max(1);
    } else if !arguments.idle.is_empty() {
        part.measures = arguments.idle.iter().copied().map(Measure::Idle).collect();
    }
}

fn full() -> Vec<Part> {
    let mut parts = vec![idle(&IDLE), veth(5, 3.0)];
    parts.extend(LOSSY.map(|scene| loss(scene, 3, window(4.0, 6.0), over_links(&Kind::OVER_LINKS))));
    parts.push(queue(3, window(4.0, 5.0), over_links(&Kind::OVER_LINKS)));
    parts.push(share(3, window(5.0, 15.0), over_links(&[Kind::Wovenet, Kind::Direct])));
    let mut failures = failure(5, &[Kind::Wovenet, Kind::RatholeTls]);
    failures.measures.push(Measure::ChannelCut);
    parts.push(failures);
    for part in parts.iter_mut().filter(|part| part.scene == Scene::Lossy) {
        part.measures.extend([Measure::EightUp, Measure::EightDown]);
    }
    parts
}

fn quick() -> Vec<Part> {
    let mut beside_tcp = over_links(&[Kind::Wovenet, Kind::Direct]);
    let queue = queue(1, window(2.0, 2.0), beside_tcp.clone());
    beside_tcp.push(Tunnel { kind: Kind::Ssh, congestion: Congestion::Cubic });
    vec![
        idle(&IDLE[..1]),
        veth(2, 0.5),
        loss(Scene::Lossy, 2, window(1.5, 2.5), beside_tcp),
        queue,
        share(1, window(2.0, 4.0), over_links(&[Kind::Wovenet])),
        failure(1, &[Kind::Wovenet]),
    ]
}

fn idle(counts: &[usize]) -> Part {
    let measures = counts.iter().copied().map(Measure::Idle).collect();
    let tunnels = all(Kind::ALL.into_iter().filter(|kind| *kind != Kind::Direct));
    Part { name: PartName::Idle, scene: Scene::Pair, rounds: 1, window: window(0.0, 0.0), tunnels, measures }
}

fn veth(rounds: usize, seconds: f64) -> Part {
    let measures = vec![
        Measure::BulkUp,
        Measure::BulkDown,
        Measure::EightUp,
        Measure::EightDown,
        Measure::RoundTrip,
        Measure::ConnectsAlone,
        Measure::ConnectsEight,
    ];
    let window = window(0.2, seconds);
    Part { name: PartName::Veth, scene: Scene::Pair, rounds, window, tunnels: all(Kind::ALL), measures }
}

fn loss(scene: Scene, rounds: usize, window: Window, tunnels: Vec<Tunnel>) -> Part {
    let measures = vec![Measure::BulkUp, Measure::BulkDown];
    Part { name: PartName::Loss, scene, rounds, window, tunnels, measures }
}

fn queue(rounds: usize, window: Window, tunnels: Vec<Tunnel>) -> Part {
    let measures = vec![Measure::FirstByte, Measure::RoundTripBesideBulk, Measure::Recovery];
    Part { name: PartName::Queue, scene: Scene::DeepQueue, rounds, window, tunnels, measures }
}

fn share(rounds: usize, window: Window, tunnels: Vec<Tunnel>) -> Part {
    let measures = vec![Measure::ShareUp, Measure::ShareDown];
    Part { name: PartName::Share, scene: Scene::Shared, rounds, window, tunnels, measures }
}

/// Those whose ends find each other again by themselves.
fn failure(rounds: usize, kinds: &[Kind]) -> Part {
    let measures = vec![Measure::ListeningKilled, Measure::DiallingKilled];
    let tunnels = all(kinds.iter().copied());
    Part { name: PartName::Failure, scene: Scene::Pair, rounds, window: window(0.0, 0.0), tunnels, measures }
}

fn window(warm_up: f64, time: f64) -> Window {
    Window { warm_up: Duration::from_secs_f64(warm_up), time: Duration::from_secs_f64(time) }
}

fn all(kinds: impl IntoIterator<Item = Kind>) -> Vec<Tunnel> {
    kinds.into_iter().map(|kind| Tunnel { kind, congestion: Congestion::Cubic }).collect()
}

/// Each that crosses a link as TCP does so with both kinds of congestion control.
fn over_links(kinds: &[Kind]) -> Vec<Tunnel> {
    let both = |kind: &Kind| {
        let controls: &[_] = if kind.is_tcp() { &[Congestion::Cubic, Congestion::Bbr] } else { &[Congestion::Cubic] };
        controls.iter().map(|congestion| Tunnel { kind: *kind, congestion: *congestion }).collect::<Vec<_>>()
    };
    kinds.iter().flat_map(both).collect()
}

impl Part {
    fn time(&self) -> Duration {
        let tunnels = u32::try_from(self.tunnels.len()).unwrap_or(u32::MAX);
        let rounds = u32::try_from(self.rounds).unwrap_or(u32::MAX);
        let round: Duration = self.measures.iter().map(|measure| self.measure_time(*measure) + MEASURE_TIME).sum();
        PART_TIME + (TUNNEL_TIME + round * rounds) * tunnels
    }

    fn measure_time(&self, measure: Measure) -> Duration {
        match measure {
            Measure::CpuUp | Measure::CpuDown | Measure::Start => Duration::ZERO,
            Measure::ConnectsAlone | Measure::ConnectsEight | Measure::FirstByte => self.window.time,
            Measure::RoundTripBesideBulk => HEAD_START * 2 + self.window.total(),
            // Twice, with either first.
            Measure::ShareUp | Measure::ShareDown => (HEAD_START + self.window.total()) * 2,
            Measure::Recovery => BEFORE_OUTAGE + OUTAGE + RECOVERY_TIME,
            Measure::ListeningKilled | Measure::DiallingKilled => RESTART_TIME,
            Measure::ChannelCut => CUT + SETTLE,
            Measure::Idle(count) => SETTLE + Duration::from_secs((count / CONNECTS_PER_SECOND) as u64),
            _ => self.window.total(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_run_takes_five_minutes_at_most() {
        let parts = parts(&RunArguments { quick: true, ..RunArguments::default() });
        assert!(estimate(&parts) < Duration::from_secs(300), "{:?}", estimate(&parts));
        assert!(parts.iter().all(|part| part.tunnels.iter().any(|tunnel| tunnel.kind == Kind::Wovenet)));
    }

    #[test]
    fn chosen_parts_rounds_and_seconds_count() {
        let only = vec![PartName::Loss];
        let chosen =
            RunArguments { only, rounds: Some(1), seconds: Some(Duration::from_secs(9)), ..RunArguments::default() };
        let parts = parts(&chosen);
        assert_eq!(parts.iter().map(|part| part.scene).collect::<Vec<_>>(), LOSSY);
        assert!(parts.iter().all(|part| part.rounds == 1 && part.window.time == Duration::from_secs(9)));
    }

    #[test]
    fn idle_connections_are_as_many_as_chosen() {
        let parts = parts(&RunArguments { idle: vec![10], ..RunArguments::default() });
        assert_eq!(parts[0].measures, [Measure::Idle(10)]);
    }

    #[test]
    fn tcp_crosses_links_with_either_congestion_control_and_wovenet_once() {
        let names: Vec<String> =
            over_links(&[Kind::Wovenet, Kind::Ssh]).iter().map(|tunnel| tunnel.name(Scene::Lossy)).collect();
        assert_eq!(names, ["wovenet", "ssh -L, cubic", "ssh -L, bbr"]);
    }
}
