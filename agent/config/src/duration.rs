//! Durations as people write them: `500ms`, `5s`, `2m`, `1h30m`, or a number of seconds.

use std::time::Duration;

/// Why a text is no duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Another form.
    #[error("is no duration; write it like 500ms, 5s, 2m, 1h30m, or as a number of seconds")]
    Form,
    /// More than 64 bits of milliseconds.
    #[error("is too long")]
    TooLong,
}

/// Reads a duration; a bare number is seconds.
///
/// # Errors
/// [`DurationError`] says which form is right.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(DurationError::Form);
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(number_end);
        let unit_end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let is_whole_text = number.len() == text.trim().len();
        let seconds_per_unit = match unit {
            "" if is_whole_text => 1.0,
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return Err(DurationError::Form),
        };
        let number: f64 = number.parse().map_err(|_| DurationError::Form)?;
        // Rounded to the microsecond, so that 0.3 s is 300 ms and not 299.999….
        let micros = (number * seconds_per_unit * 1e6).round();
        if !(0.0..=1e18).contains(&micros) {
            return Err(DurationError::TooLong);
        }
        total += Duration::from_micros(micros as u64);
        rest = after;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_written_form_is_read() {
        for (text, millis) in [
            ("500ms", 500),
            ("5s", 5_000),
            ("2m", 120_000),
            ("1h30m", 5_400_000),
            ("5", 5_000),
            ("1.5", 1_500),
            ("0.3s", 300),
            (" 7s ", 7_000),
            ("0", 0),
            ("1d", 86_400_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for text in ["", " ", "s", "5x", "5 s", "-5s", "1h30", "five", "1e3", "1.2.3s", "ns", "5S"] {
            assert_eq!(parse_duration(text), Err(DurationError::Form), "{text}");
        }
        assert_eq!(parse_duration("99999999999999999999h"), Err(DurationError::TooLong));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[0-9.a-z -]{0,40}|\\PC{0,20}") {
            let _ = parse_duration(&text);
        }

        #[test]
        fn whole_milliseconds_survive(millis in 0u64..1_000_000_000) {
            prop_assert_eq!(parse_duration(&format!("{millis}ms")), Ok(Duration::from_millis(millis)));
        }
    }
}
