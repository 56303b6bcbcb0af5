//! Collects problems, and judges the kinds of value that many keys share.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use crate::document::DurationText;
use crate::duration::parse_duration;
use crate::name::NameError;
use crate::nearest::advice;
use crate::problem::{Problem, shown};
use crate::socket::AppSocket;

/// The problems found so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    problems: Vec<Problem>,
}

impl Report {
    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    pub(super) fn error(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem::error(path, message));
    }

    pub(super) fn warning(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem::warning(path, message));
    }

    /// Reports a failed parse of a value that is no secret.
    pub(super) fn parsed<T, E: Display>(&mut self, path: &str, text: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.error(path, format!("{} {error}", shown(text)))).ok()
    }

    /// Judges a required name.
    pub(super) fn name<T: FromStr<Err = NameError>>(&mut self, path: &str, text: Option<&str>) -> Option<T> {
        match text {
            None | Some("") => {
                self.error(path, "is required: a name of 1 to 255 bytes");
                None
            }
            Some(text) => self.parsed(path, text, text.parse()),
        }
    }

    /// Judges a required socket.
    pub(super) fn socket(&mut self, path: &str, text: Option<&str>) -> Option<AppSocket> {
        match text {
            None | Some("") => {
                self.error(path, "is required: tcp:IP:PORT or unix:PATH");
                None
            }
            Some(text) => self.parsed(path, text, text.parse()),
        }
    }

    /// Judges a required socket that is dialled, so that port 0 makes no sense.
    pub(super) fn dialled_socket(&mut self, path: &str, text: Option<&str>) -> Option<AppSocket> {
        let socket = self.socket(path, text)?;
        match socket {
            AppSocket::Tcp(address) if address.port() == 0 => {
                self.error(
                    path,
                    format!("{} has port 0, which cannot be dialled; name the port of the app", shown(text?)),
                );
                None
            }
            socket => Some(socket),
        }
    }

    /// Judges a word out of a list, in the very case of the list. `None` is an error, `Some(None)` an absent word.
    pub(super) fn word<T: Clone>(&mut self, path: &str, text: Option<&str>, words: &[(&str, T)]) -> Option<Option<T>> {
        self.choose(path, text, words, |word, text| word == text)
    }

    /// Judges a word out of a list, in any case.
    pub(super) fn word_of_any_case<T: Clone>(
        &mut self,
        path: &str,
        text: Option<&str>,
        words: &[(&str, T)],
    ) -> Option<Option<T>> {
        self.choose(path, text, words, |word, text| word.eq_ignore_ascii_case(text))
    }

    fn choose<T: Clone>(
        &mut self,
        path: &str,
        text: Option<&str>,
        words: &[(&str, T)],
        same: impl Fn(&str, &str) -> bool,
    ) -> Option<Option<T>> {
        let Some(text) = text else { return Some(None) };
        let found = words.iter().find(|(word, _)| same(word, text));
        if found.is_none() {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.error(path, format!("{} is not supported; {}", shown(text), advice(text, &words)));
        }
        Some(Some(found?.1.clone()))
    }

    /// Judges a number that must fit its range. `None` is an error, `Some(None)` an absent number.
    pub(super) fn number<T>(&mut self, path: &str, value: Option<u64>, range: RangeInclusive<T>) -> Option<Option<T>>
    where
        T: TryFrom<u64> + PartialOrd + Display,
    {
        let Some(value) = value else { return Some(None) };
        match T::try_from(value) {
            Ok(number) if range.contains(&number) => Some(Some(number)),
            _ => {
                self.error(path, format!("{value} is out of range: {} to {}", range.start(), range.end()));
                None
            }
        }
    }

    /// Judges a duration that must fit its range. `None` is an error, `Some(None)` an absent one.
    pub(super) fn duration(
        &mut self,
        path: &str,
        text: Option<&DurationText>,
        range: RangeInclusive<Duration>,
    ) -> Option<Option<Duration>> {
        let Some(DurationText(text)) = text else { return Some(None) };
        let duration = self.parsed(path, text, parse_duration(text))?;
        if !range.contains(&duration) {
            let (least, most) = (range.start(), range.end());
            self.error(path, format!("{} is out of range: {least:?} to {most:?}", shown(text)));
            return None;
        }
        Some(Some(duration))
    }

    /// Judges a silence after which a connection is cut; 0 is never.
    pub(super) fn idle_timeout(&mut self, path: &str, text: Option<&DurationText>) -> Option<Option<Duration>> {
        let idle = self.duration(path, text, Duration::ZERO..=crate::app::IDLE_TIMEOUT_MAX)?;
        Some(idle.filter(|idle| !idle.is_zero()))
    }

    /// Judges a wait for a connection.
    pub(super) fn connect_timeout(
        &mut self,
        path: &str,
        text: Option<&DurationText>,
        default: Duration,
    ) -> Option<Duration> {
        let range = Duration::from_millis(1)..=crate::app::CONNECT_TIMEOUT_MAX;
        Some(self.duration(path, text, range)?.unwrap_or(default))
    }

    /// Reports a list that is too long.
    pub(super) fn at_most(&mut self, path: &str, count: usize, most: usize) {
        if count > most {
            self.error(path, format!("has {count} entries, at most {most} are allowed"));
        }
    }
}
