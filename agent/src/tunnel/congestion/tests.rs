//! The controller on simulated links.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::model::{Model, PROBE_GAIN, WINDOW_MAX, WINDOW_MIN_PACKETS};
use super::simulation::{Cubic, Link, Loss, PACKET, Simulation};

const CLEAN: Loss = Loss::Random(0.0);
const SECOND: Duration = Duration::from_secs(1);

fn link(megabits: f64, round_trip: u64, queue: u64, loss: Loss) -> Link {
    let (round_trip, queue) = (Duration::from_millis(round_trip), Duration::from_millis(queue));
    Link { rate: megabits * 1e6, round_trip, queue, loss }
}

/// One flow on `link` after start-up.
fn settled(link: Link, seed: u64) -> Simulation {
    let mut simulation = Simulation::new(link, seed);
    simulation.add_model();
    simulation.run(SECOND * 3 + link.round_trip * 30);
    simulation
}

#[test]
fn a_flow_fills_a_long_link_in_spite_of_losses() {
    for (loss, least) in [(0.0, 0.93), (0.001, 0.93), (0.01, 0.92), (0.05, 0.85)] {
        let mut simulation = settled(link(50.0, 200, 200, Loss::Random(loss)), 7);
        let share = simulation.shares(SECOND * 10)[0];
        assert!(share > least, "{share} of the link at {loss} loss");
    }
}

#[test]
fn the_queue_stays_short_however_long_it_may_be() {
    let mut simulation = settled(link(20.0, 50, 1_000, CLEAN), 7);
    simulation.run(SECOND * 20);
    let share = simulation.shares(SECOND * 10)[0];
    let median = simulation.flows[0].median_round_trip();
    assert!(share > 0.93 && median < 75.0, "{share} of the link, {median} ms");
}

#[test]
fn start_up_puts_a_bounded_amount_in_flight() {
    let link = link(50.0, 100, 2_000, CLEAN);
    let mut simulation = Simulation::new(link, 7);
    simulation.add_model();
    simulation.run(SECOND * 5);
    let product = link.rate / 8.0 * link.round_trip.as_secs_f64();
    let most = simulation.flows[0].most_in_flight as f64 / product;
    assert!(most < 3.0, "{most} products of rate and round trip time");
}

#[test]
fn a_lower_rate_is_found_soon_and_a_higher_one_too() {
    let mut simulation = settled(link(50.0, 50, 200, CLEAN), 7);
    simulation.link.rate = 5e6;
    simulation.run(SECOND * 4);
    let share = simulation.shares(SECOND * 5)[0];
    let median = simulation.flows[0].median_round_trip();
    assert!(share > 0.9 && median < 100.0, "{share} of the lower rate, {median} ms");
    simulation.link.rate = 50e6;
    simulation.run(SECOND * 6);
    let share = simulation.shares(SECOND * 5)[0];
    assert!(share > 0.85, "{share} of the higher rate");
}

#[test]
fn a_longer_path_is_noticed() {
    let mut simulation = settled(link(20.0, 20, 200, CLEAN), 7);
    simulation.link.round_trip = Duration::from_millis(150);
    simulation.run(SECOND * 20);
    let share = simulation.shares(SECOND * 5)[0];
    assert!(share > 0.85, "{share}");
}

#[test]
fn loss_above_the_ceiling_is_congestion() {
    let mut simulation = settled(link(20.0, 50, 100, CLEAN), 7);
    simulation.link.loss = Loss::Random(0.4);
    simulation.run(SECOND * 10);
    let window = simulation.flows[0].control.window();
    let product = simulation.link.rate / 8.0 * 0.05;
    assert!((window as f64) < product / 4.0, "{window} bytes");
    simulation.link.loss = CLEAN;
    simulation.run(SECOND * 8);
    let share = simulation.shares(SECOND * 3)[0];
    assert!(share > 0.85, "{share} of the link afterwards");
}

#[test]
fn two_flows_share() {
    for seed in 0..4 {
        let mut simulation = settled(link(20.0, 50, 200, CLEAN), seed);
        simulation.add_model();
        simulation.run(SECOND * 20);
        let shares = simulation.shares(SECOND * 30);
        let total = shares[0] + shares[1];
        assert!(total > 0.9 && (0.3..0.7).contains(&(shares[1] / total)), "{shares:?}");
    }
}

#[test]
fn it_leaves_a_cubic_flow_its_part_and_gets_its_own() {
    for (round_trip, queue, model_first) in [(50, 100, true), (50, 100, false), (50, 200, true), (100, 100, false)] {
        let mut simulation = Simulation::new(link(20.0, round_trip, queue, CLEAN), 7);
        for turn in [true, false] {
            if turn == model_first {
                simulation.add_model();
            } else {
                simulation.add(Box::new(Cubic::new()), None);
            }
            simulation.run(SECOND * 10);
        }
        let mut shares = simulation.shares(SECOND * 60);
        if !model_first {
            shares.reverse();
        }
        let part = shares[0] / (shares[0] + shares[1]);
        assert!((0.35..=0.65).contains(&part), "{shares:?} at {round_trip} ms, queue {queue} ms");
    }
}

#[test]
fn a_flow_that_sends_little_does_not_lose_what_it_knows() {
    let mut simulation = settled(link(20.0, 50, 200, CLEAN), 7);
    simulation.flows[0].demand = Some(1e6);
    simulation.run(SECOND * 20);
    simulation.flows[0].demand = None;
    let share = simulation.shares(SECOND)[0];
    assert!(share > 0.8, "{share} of the link in the first second");
}

#[test]
fn keep_alives_of_an_idle_channel_say_nothing_of_the_path() {
    let start = Instant::now();
    let mut model = Model::new(start, PACKET as u16);
    let round_trip = Duration::from_millis(50);
    for packet in 0..2_000 {
        let sent = start + Duration::from_millis(packet);
        model.acknowledge(sent + round_trip, sent, PACKET);
        model.end_acknowledgements(sent + round_trip, 50 * PACKET, false);
    }
    let busy = model.window();
    for keep_alive in 1..50 {
        let sent = start + Duration::from_secs(4) * keep_alive;
        model.acknowledge(sent + round_trip, sent, 40);
        model.end_acknowledgements(sent + round_trip, 0, true);
    }
    assert!(model.window() > busy / 2, "{} bytes after {busy}", model.window());
}

#[test]
fn persistent_congestion_begins_again_with_the_least_window() {
    let mut model = Model::new(Instant::now(), PACKET as u16);
    model.start_again();
    assert_eq!(model.window(), WINDOW_MIN_PACKETS * PACKET);
    let mut simulation = settled(link(20.0, 50, 200, CLEAN), 7);
    simulation.link.loss = Loss::Random(1.0);
    simulation.run(SECOND * 3);
    assert!(simulation.flows[0].control.window() <= WINDOW_MIN_PACKETS * PACKET);
    simulation.link.loss = CLEAN;
    simulation.run(SECOND * 2);
    let share = simulation.shares(SECOND * 2)[0];
    assert!(share > 0.85, "{share} of the link after an outage");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_link_is_used_within_bounds(
        megabits in 1.0..20.0f64, round_trip in 5..250u64, queue in 30..500u64, loss in 0.0..0.04f64,
        packets in 1.0..6.0f64, seed: u64,
    ) {
        let (loss, run) = match seed.is_multiple_of(2) {
            true => (Loss::Random(loss), 1.0),
            false => (Loss::Bursts { share: loss, packets }, packets),
        };
        let link = link(megabits, round_trip, queue, loss);
        let mut simulation = settled(link, seed);
        simulation.run(SECOND * 5);
        let share = simulation.shares(SECOND * 10)[0];
        let flow = &simulation.flows[0];
        prop_assert!(share > 0.75, "{share}");
        let product = link.rate / 8.0 * link.round_trip.as_secs_f64();
        // A run of lost packets is in flight until it is found lost; one may be four times as long as they are on average.
        let bound = product * PROBE_GAIN * 1.4 + link.rate / 8.0 * 0.005 + (14.0 + 4.0 * run) * PACKET as f64;
        prop_assert!((flow.most_in_flight as f64) < bound, "{} in flight of {product}", flow.most_in_flight);
        prop_assert!((WINDOW_MIN_PACKETS * PACKET..=WINDOW_MAX).contains(&flow.control.window()));
    }
}
