//! Durations as text: `500ms`, `5s`, `1h30m` (the form of the Gateway API, GEP-2257).

/// The longest text of a duration.
pub(crate) const TEXT_MAX: u32 = 32;

/// A wait for a connection.
pub(crate) const CONNECT_RULE: &str = "self.matches('^([0-9]{1,5}(h|m|s|ms)){1,4}$') \
     && duration(self) >= duration('1ms') && duration(self) <= duration('5m')";
/// What a wait for a connection must be.
pub(crate) const CONNECT_MESSAGE: &str = "connectTimeout must be a duration from 1ms to 5m, such as 500ms or 5s";

/// A silence after which a connection is cut.
pub(crate) const IDLE_RULE: &str =
    "self.matches('^([0-9]{1,5}(h|m|s|ms)){1,4}$') && duration(self) <= duration('720h')";
/// What a silence must be.
pub(crate) const IDLE_MESSAGE: &str = "idleTimeout must be a duration up to 720h, such as 90s or 1h30m; 0s is never";
