//! What an unquoted YAML scalar means, by the rules of go-yaml 3 that wovenet used.

use super::node::Scalar;

/// The meaning of a scalar.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Meaning<'a> {
    Null,
    Boolean(bool),
    Integer(i128),
    Float(f64),
    /// A date, which wovenet could not use as text.
    Date,
    Text(&'a str),
}

impl Scalar {
    pub(super) fn meaning(&self) -> Meaning<'_> {
        if self.is_plain { plain(&self.text) } else { Meaning::Text(&self.text) }
    }
}

fn plain(text: &str) -> Meaning<'_> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Meaning::Null,
        "true" | "True" | "TRUE" => return Meaning::Boolean(true),
        "false" | "False" | "FALSE" => return Meaning::Boolean(false),
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return Meaning::Text(text);
    }
    if is_date(text) {
        return Meaning::Date;
    }
    if let Some(integer) = integer(text) {
        return Meaning::Integer(integer);
    }
    float(text).map_or(Meaning::Text(text), Meaning::Float)
}

/// Reads a whole number as Go does: decimal, 0x, 0o, 0b, or octal with a leading 0; `_` between digits.
pub(super) fn integer(text: &str) -> Option<i128> {
    let text = text.replace('_', "");
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(&text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, &lower[..]),
    };
    // A second sign would be accepted by the parser of the standard library.
    if !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let value = i128::from(u64::from_str_radix(digits, radix).ok()?);
    Some(if negative { -value } else { value })
}

fn float(text: &str) -> Option<f64> {
    let text = text.replace('_', "");
    let digits = text.strip_prefix(['+', '-']).unwrap_or(&text);
    // Rules out inf and nan, and bare signs and dots.
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.bytes().any(|byte| byte.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
    if is_number { text.parse().ok().filter(|value: &f64| value.is_finite()) } else { None }
}

/// Tells whether a text is `2001-02-03`, with or without a time after it.
fn is_date(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let (Some(year), Some(month), Some(rest)) = (parts.next(), parts.next(), parts.next()) else { return false };
    let day_end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (day, time) = rest.split_at(day_end);
    let in_range = |text: &str, most: u8| {
        (1..=2).contains(&text.len()) && text.parse().is_ok_and(|number: u8| (1..=most).contains(&number))
    };
    year.len() == 4
        && year.bytes().all(|byte| byte.is_ascii_digit())
        && in_range(month, 12)
        && in_range(day, 31)
        && (time.is_empty() || is_time(time))
}

fn is_time(text: &str) -> bool {
    let rest = text.strip_prefix(['T', 't', ' ']).unwrap_or_default();
    rest.starts_with(|c: char| c.is_ascii_digit())
        && rest.matches(':').count() >= 2
        && rest.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.' | b'Z' | b'+' | b'-' | b' '))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn unquoted_words_mean_what_go_yaml_says() {
        for (text, meaning) in [
            ("", Meaning::Null),
            ("~", Meaning::Null),
            ("null", Meaning::Null),
            ("true", Meaning::Boolean(true)),
            ("FALSE", Meaning::Boolean(false)),
            ("yes", Meaning::Text("yes")),
            ("on", Meaning::Text("on")),
            ("1", Meaning::Integer(1)),
            ("-1", Meaning::Integer(-1)),
            ("010", Meaning::Integer(8)),
            ("0o10", Meaning::Integer(8)),
            ("0x10", Meaning::Integer(16)),
            ("0b11", Meaning::Integer(3)),
            ("1_000", Meaning::Integer(1000)),
            ("01234567", Meaning::Integer(342_391)),
            ("089", Meaning::Float(89.0)),
            ("1.50", Meaning::Float(1.5)),
            ("1e3", Meaning::Float(1000.0)),
            ("99999999999999999999", Meaning::Float(1e20)),
            ("2001-02-03", Meaning::Date),
            ("2001-2-3T10:20:30Z", Meaning::Date),
            ("2001-13-03", Meaning::Text("2001-13-03")),
            ("5900-5990", Meaning::Text("5900-5990")),
            ("10.0.2.0/24", Meaning::Text("10.0.2.0/24")),
            ("1.2.3.4", Meaning::Text("1.2.3.4")),
            ("--1", Meaning::Text("--1")),
            ("0x", Meaning::Text("0x")),
            (".", Meaning::Text(".")),
            ("-", Meaning::Text("-")),
            ("2001:db8::1", Meaning::Text("2001:db8::1")),
        ] {
            assert_eq!(plain(text), meaning, "{text}");
        }
    }

    #[test]
    fn a_quoted_scalar_is_always_text() {
        let scalar = Scalar { text: "0x10".into(), is_plain: false };
        assert_eq!(scalar.meaning(), Meaning::Text("0x10"));
    }

    proptest! {
        #[test]
        fn decimal_numbers_keep_their_value(number: u64) {
            prop_assert_eq!(integer(&number.to_string()), Some(i128::from(number)));
            prop_assert_eq!(integer(&format!("{number:#x}")), Some(i128::from(number)));
            prop_assert_eq!(integer(&format!("{number:#o}")), Some(i128::from(number)));
            prop_assert_eq!(integer(&format!("-{number:#b}")), Some(-i128::from(number)));
        }

        #[test]
        fn no_text_panics(text in "[0-9a-fxob_.eE+:TZ -]{0,30}|\\PC{0,30}") {
            let _ = plain(&text);
        }
    }
}
