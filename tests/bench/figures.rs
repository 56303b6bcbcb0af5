//! What is measured, in which unit, and what is better. Pure.

use crate::bulk::Direction;

/// A figure of one tunnel in one scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Measure {
    BulkUp,
    BulkDown,
    EightUp,
    EightDown,
    /// Taken with [`Measure::BulkUp`].
    CpuUp,
    /// Taken with [`Measure::BulkDown`].
    CpuDown,
    RoundTrip,
    ConnectsAlone,
    ConnectsEight,
    FirstByte,
    RoundTripBesideBulk,
    ShareUp,
    ShareDown,
    Recovery,
    /// Of the end that listens for the other.
    ListeningKilled,
    /// Of the end that dials the other.
    DiallingKilled,
    /// The longest of all while one of two channels is cut.
    ChannelCut,
    /// While so many connections are idle.
    Idle(usize),
    /// Once, when the tunnel is started.
    Start,
}

/// Which of two figures is the better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    More,
    Less,
    /// Neither: half of the whole is even.
    Half,
}

impl Measure {
    pub(crate) fn title(self) -> String {
        match self {
            Self::BulkUp => "one bulk stream up".to_owned(),
            Self::BulkDown => "one bulk stream down".to_owned(),
            Self::EightUp => "eight bulk streams up".to_owned(),
            Self::EightDown => "eight bulk streams down".to_owned(),
            Self::CpuUp => "CPU of both ends, one stream up".to_owned(),
            Self::CpuDown => "CPU of both ends, one stream down".to_owned(),
            Self::RoundTrip => "64 B round trip".to_owned(),
            Self::ConnectsAlone => "connections, one at a time".to_owned(),
            Self::ConnectsEight => "connections, eight at once".to_owned(),
            Self::FirstByte => "connect to first byte".to_owned(),
            Self::RoundTripBesideBulk => "64 B round trip beside one bulk stream up".to_owned(),
            Self::ShareUp => "share beside one TCP cubic flow, up".to_owned(),
            Self::ShareDown => "share beside one TCP cubic flow, down".to_owned(),
            Self::Recovery => "bytes flow again after the link was down for 5 s".to_owned(),
            Self::ListeningKilled => "new connection after kill -9 and restart of the listening end".to_owned(),
            Self::DiallingKilled => "new connection after kill -9 and restart of the dialling end".to_owned(),
            Self::ChannelCut => "slowest new connection of 20 s, one of two channels cut".to_owned(),
            Self::Idle(count) => format!("memory of an idle connection, {count} held, larger end"),
            Self::Start => "start of both ends to first byte".to_owned(),
        }
    }

    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::BulkUp | Self::BulkDown | Self::EightUp | Self::EightDown => "Mbit/s",
            Self::CpuUp | Self::CpuDown => "s/GB",
            Self::ConnectsAlone | Self::ConnectsEight => "/s",
            Self::RoundTrip | Self::FirstByte | Self::RoundTripBesideBulk | Self::Start => "ms",
            Self::ListeningKilled | Self::DiallingKilled | Self::ChannelCut => "ms",
            Self::ShareUp | Self::ShareDown => "%",
            Self::Recovery => "s",
            Self::Idle(_) => "kB",
        }
    }

    pub(crate) fn better(self) -> Better {
        match self.unit() {
            "Mbit/s" | "/s" => Better::More,
            "%" => Better::Half,
            _ => Better::Less,
        }
    }

    /// Returns the direction and the streams of a bulk measurement.
    pub(crate) fn bulk(self) -> Option<(Direction, usize)> {
        match self {
            Self::BulkUp => Some((Direction::Up, 1)),
            Self::BulkDown => Some((Direction::Down, 1)),
            Self::EightUp => Some((Direction::Up, 8)),
            Self::EightDown => Some((Direction::Down, 8)),
            _ => None,
        }
    }

    /// Returns how many times as good `own` is as `other`: above 1 it is better. None where neither is better.
    pub(crate) fn advantage(self, own: f64, other: f64) -> Option<f64> {
        let ratio = match self.better() {
            Better::More => own / other,
            Better::Less => other / own,
            Better::Half => return None,
        };
        (ratio.is_finite() && ratio > 0.0).then_some(ratio)
    }
}

/// Writes a figure with three digits or more.
pub(crate) fn digits(value: f64) -> String {
    let places = match value.abs() {
        ..10.0 => 2,
        10.0..100.0 => 1,
        _ => 0,
    };
    format!("{value:.places$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_advantage_above_one_is_better_whatever_the_unit() {
        assert_eq!(Measure::BulkUp.advantage(300.0, 100.0), Some(3.0));
        assert_eq!(Measure::RoundTrip.advantage(2.0, 1.0), Some(0.5));
        assert_eq!(Measure::ShareUp.advantage(40.0, 50.0), None);
        assert_eq!(Measure::Recovery.advantage(0.0, 1.0), None);
    }

    #[test]
    fn figures_are_as_long_as_they_are_exact() {
        let written: Vec<String> = [0.041, 3.456, 42.24, 4567.8].map(digits).into();
        assert_eq!(written, ["0.04", "3.46", "42.2", "4568"]);
    }
}
