//! The congestion controller of data channels: it keeps a model of the path (delivery rate × minimum round trip time)
//! instead of taking each loss for congestion. In: acknowledgements and losses. Out: how many bytes may be in flight.
//!
//! The library paces at 1.25 windows a round trip, so the window is all that is decided here.

mod delivery;
mod loss;
mod model;
mod round_trip;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use quinn::congestion::{Controller, ControllerFactory};
use quinn_proto::RttEstimator;

use model::Model;

/// Makes a [`Model`] for each path.
#[derive(Clone, Copy, Debug, Default)]
pub struct ModelConfig;

impl ControllerFactory for ModelConfig {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        Box::new(Model::new(now, current_mtu))
    }
}

impl Controller for Model {
    fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64, _app_limited: bool, _rtt: &RttEstimator) {
        self.acknowledge(now, sent, bytes);
    }

    fn on_end_acks(&mut self, now: Instant, in_flight: u64, app_limited: bool, _largest: Option<u64>) {
        self.end_acknowledgements(now, in_flight, app_limited);
    }

    fn on_congestion_event(&mut self, _now: Instant, _sent: Instant, is_persistent: bool, lost_bytes: u64) {
        match lost_bytes {
            _ if is_persistent => self.start_again(),
            // The library tells of congestion marks (ECN) so.
            0 => self.mark(),
            lost => self.lose(lost),
        }
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.set_packet_bytes(new_mtu);
    }

    fn window(&self) -> u64 {
        Model::window(self)
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        Model::initial_window(self)
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
