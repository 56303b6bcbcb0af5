//! The networks between the two sides, by name. Pure.

/// Where a part of the benchmark takes place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scene {
    /// A veth pair: as fast as the machine.
    Pair,
    /// A line that loses a packet now and then.
    Lossy,
    /// One that loses many.
    VeryLossy,
    /// One that loses packets in a row.
    Bursts,
    /// Between continents.
    Long,
    /// A clean line with a deep queue.
    DeepQueue,
    /// A clean line that several flows fill.
    Shared,
}

/// An emulated link.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LinkSettings {
    /// Milliseconds.
    pub(crate) round_trip: f64,
    /// Milliseconds.
    pub(crate) queue: f64,
    /// Percent.
    pub(crate) loss: f64,
    /// Mean length of a run of lost packets.
    pub(crate) burst: f64,
    /// Mbit/s.
    pub(crate) rate: f64,
}

/// What most links are like.
const LINK: LinkSettings = LinkSettings { round_trip: 50.0, queue: 200.0, loss: 0.0, burst: 1.0, rate: 200.0 };

impl Scene {
    /// Returns the link; none is a veth pair.
    pub(crate) fn link(self) -> Option<LinkSettings> {
        match self {
            Self::Pair => None,
            Self::Lossy => Some(LinkSettings { loss: 0.1, ..LINK }),
            Self::VeryLossy => Some(LinkSettings { loss: 1.0, ..LINK }),
            Self::Bursts => Some(LinkSettings { loss: 1.0, burst: 4.0, ..LINK }),
            Self::Long => Some(LinkSettings { round_trip: 200.0, loss: 0.1, ..LINK }),
            Self::DeepQueue => Some(LINK),
            Self::Shared => Some(LinkSettings { queue: 100.0, rate: 100.0, ..LINK }),
        }
    }

    /// Describes it for people.
    pub(crate) fn title(self) -> String {
        let Some(LinkSettings { round_trip, queue, loss, burst, rate }) = self.link() else {
            return "veth pair, TCP cubic".to_owned();
        };
        let loss = match (loss > 0.0, burst > 1.0) {
            (false, _) => "no loss".to_owned(),
            (true, false) => format!("{loss} % loss"),
            (true, true) => format!("{loss} % loss in bursts of {burst}"),
        };
        format!("emulated link, {round_trip} ms, {rate} Mbit/s, {loss}, queue of {queue} ms")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_says_what_a_link_is_like() {
        assert_eq!(Scene::Pair.title(), "veth pair, TCP cubic");
        let bursts = "emulated link, 50 ms, 200 Mbit/s, 1 % loss in bursts of 4, queue of 200 ms";
        assert_eq!(Scene::Bursts.title(), bursts);
        assert_eq!(Scene::Shared.title(), "emulated link, 50 ms, 100 Mbit/s, no loss, queue of 100 ms");
    }
}
