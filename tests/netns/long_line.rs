//! The example of a long line that loses packets, as it is: what the tunnel carries beside one TCP connection.

use std::time::Duration;

use wovenet_tests::agent::Agent;
use wovenet_tests::link::{self, End, ShapeSettings};
use wovenet_tests::log;
use wovenet_tests::netns::{Host, Lab};
use wovenet_tests::until::PATIENCE;

use crate::examples::run;
use crate::measured;
use crate::pair::UP;

/// A round trip of 200 ms at 200 Mbit/s.
const LINE: ShapeSettings = ShapeSettings {
    delay: Duration::from_millis(100),
    jitter: Duration::ZERO,
    loss: 0.001,
    burst: 1.0,
    rate: 200e6,
    queue: Duration::from_millis(100),
};
/// What the tunnel carries at least, in multiples of a TCP connection that is controlled by cubic.
const TIMES_CUBIC: f64 = 10.0;

/// Two hosts that a long line joins, and the broker that both reach without it.
struct Ends {
    ohio: Host,
    tianjin: Host,
}

impl Ends {
    fn join(lab: &Lab, loss: f64) -> Self {
        let ohio = lab.public_host("ohio", &["192.0.2.9"]).unwrap();
        let tianjin = lab.public_host("tianjin", &["192.0.2.10"]).unwrap();
        let end = |host: &Host, address: &str| End {
            namespace: host.namespace().name().to_owned(),
            address: address.to_owned(),
        };
        let ends = [&end(&ohio, "203.0.113.9/24"), &end(&tianjin, "203.0.113.10/24")];
        link::join(ends, ShapeSettings { loss, ..LINE }, 1).unwrap();
        for host in [&ohio, &tianjin] {
            host.namespace().ip(&format!("route replace 203.0.113.0/24 dev {}", link::DEVICE)).unwrap();
        }
        Self { ohio, tianjin }
    }

    fn agents(&self) -> [Agent; 2] {
        let agents =
            [run(&self.ohio, "network-performance/ohio.yaml"), run(&self.tianjin, "network-performance/tianjin.yaml")];
        log::wait_for(&agents[1], 0, UP, |_| true).unwrap();
        agents
    }

    /// Returns what iperf3 measures from one end, in Mbit/s, without the time that a connection takes to get fast.
    fn rate(&self, to: &str, direction: &[&str]) -> f64 {
        let arguments = [&["-c", to, "-t", "6", "-O", "4", "-C", "cubic", "-J"], direction].concat();
        // A server of its own: one that still ends the measurement before resets the next.
        let _server = self.ohio.start("iperf3", &["-s"]).unwrap();
        self.ohio.reach("tcp:127.0.0.1:5201").unwrap();
        let mut client = self.tianjin.start("iperf3", &arguments).unwrap();
        let status = client.wait(PATIENCE).unwrap();
        assert!(status.success(), "{}", client.output());
        let report: serde_json::Value = serde_json::from_str(&client.output()).unwrap();
        report
            .pointer("/end/sum_received/bits_per_second")
            .and_then(serde_json::Value::as_f64)
            .unwrap_or_else(|| panic!("{}", client.output()))
            / 1e6
    }
}

fn carries_many_times_cubic(loss: f64) {
    let lab = Lab::new().unwrap();
    let _broker = lab.broker().unwrap();
    let ends = Ends::join(&lab, loss);
    let _agents = ends.agents();
    for direction in [&[][..], &["-R"]] {
        let (tcp, tunnel) = (ends.rate("203.0.113.9", direction), ends.rate("127.0.0.1", direction));
        measured(
            &format!("network-performance: {loss} lost {direction:?}: TCP cubic and the tunnel, Mbit/s"),
            (tcp, tunnel),
        );
        assert!(tunnel >= TIMES_CUBIC * tcp, "{direction:?}: {tunnel} beside {tcp}");
    }
}

#[test]
fn network_performance_carries_ten_times_tcp_cubic_where_one_packet_in_a_thousand_is_lost() {
    carries_many_times_cubic(0.001);
}

#[test]
fn network_performance_carries_ten_times_tcp_cubic_where_one_packet_in_two_hundred_is_lost() {
    carries_many_times_cubic(0.005);
}
