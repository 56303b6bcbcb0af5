//! Reads one scalar as the kind of value that its key wants, by the weak rules of docs/configuration.md.

use serde_json::Value;

use crate::load::node::Scalar;
use crate::load::scalar::{Meaning, integer};
use crate::load::schema::FieldKind;
use crate::nearest::advice;
use crate::problem::shown;

/// Whole numbers up to here are exact as floats.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// A value, absent when nothing was written, and what is doubtful about it.
pub(super) struct Read {
    pub(super) value: Option<Value>,
    pub(super) warning: Option<String>,
}

impl Read {
    fn some(value: impl Into<Value>) -> Self {
        Self { value: Some(value.into()), warning: None }
    }
}

impl Scalar {
    pub(super) fn is_null(&self) -> bool {
        self.meaning() == Meaning::Null
    }
}

/// Reads a scalar; the error is a message that repeats no secret.
pub(super) fn scalar(scalar: &Scalar, kind: FieldKind) -> Result<Read, String> {
    let meaning = scalar.meaning();
    if meaning == Meaning::Null {
        return Ok(Read { value: None, warning: None });
    }
    match kind {
        FieldKind::Number => number(meaning),
        FieldKind::Boolean => boolean(meaning).map(Read::some),
        FieldKind::Text | FieldKind::Name | FieldKind::Secret | FieldKind::Duration => text(meaning, kind),
        FieldKind::Section(_) | FieldKind::Sections(_) => Err("must be a map of keys, not text".to_owned()),
        FieldKind::Texts | FieldKind::Secrets | FieldKind::Urls => Err("must be a list of texts".to_owned()),
    }
}

/// Names what a key wants.
pub(super) fn wanted(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::Number => "a whole number",
        FieldKind::Boolean => "true or false",
        FieldKind::Duration => "a duration like 5s",
        FieldKind::Section(_) => "a map of keys",
        FieldKind::Sections(_) => "a list of maps",
        FieldKind::Texts | FieldKind::Secrets | FieldKind::Urls => "a list of texts",
        FieldKind::Text | FieldKind::Name | FieldKind::Secret => "text",
    }
}

fn text(meaning: Meaning<'_>, kind: FieldKind) -> Result<Read, String> {
    let read_as = match meaning {
        Meaning::Text(text) => return Ok(Read::some(text)),
        Meaning::Date => return Err("is a date when it is written without quotes; put it in quotes".to_owned()),
        Meaning::Boolean(value) => if value { "1" } else { "0" }.to_owned(),
        Meaning::Integer(value) => value.to_string(),
        Meaning::Float(value) => value.to_string(),
        Meaning::Null => return Ok(Read { value: None, warning: None }),
    };
    let warning = match kind {
        FieldKind::Secret => Some(
            "is a number or boolean without quotes, which may be read otherwise than it is written; put it in quotes"
                .to_owned(),
        ),
        FieldKind::Name => {
            Some(format!("is a number or boolean without quotes and is read as {}; put it in quotes", shown(&read_as)))
        }
        _ => None,
    };
    Ok(Read { value: Some(read_as.into()), warning })
}

fn number(meaning: Meaning<'_>) -> Result<Read, String> {
    let value = match meaning {
        Meaning::Integer(value) => value,
        Meaning::Float(value) if value.fract() == 0.0 && value.abs() <= EXACT_MAX => value as i128,
        Meaning::Float(value) => return Err(format!("{value} is no whole number")),
        Meaning::Text("") => return Ok(Read { value: None, warning: None }),
        Meaning::Text(text) => integer(text.trim())
            .ok_or_else(|| format!("{} is no whole number; write digits, such as 8080", shown(text)))?,
        Meaning::Boolean(value) => return Err(format!("{value} is no whole number")),
        Meaning::Date | Meaning::Null => return Err("is no whole number".to_owned()),
    };
    u64::try_from(value).map(Read::some).map_err(|_| format!("{value} is out of range: it must not be negative"))
}

fn boolean(meaning: Meaning<'_>) -> Result<bool, String> {
    match meaning {
        Meaning::Boolean(value) => Ok(value),
        Meaning::Integer(value) => Ok(value != 0),
        Meaning::Float(value) => Ok(value != 0.0),
        Meaning::Text("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
        Meaning::Text("" | "0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
        Meaning::Text("yes" | "Yes" | "YES" | "on" | "On" | "ON") => {
            Err("must be true or false; write true".to_owned())
        }
        Meaning::Text("no" | "No" | "NO" | "off" | "Off" | "OFF") => {
            Err("must be true or false; write false".to_owned())
        }
        Meaning::Text(text) => {
            Err(format!("{} is neither true nor false; {}", shown(text), advice(text, &["true", "false"])))
        }
        Meaning::Date | Meaning::Null => Err("must be true or false".to_owned()),
    }
}

/// Splits a text at commas; `None` when the scalar is no text.
pub(super) fn split(scalar: &Scalar, kind: FieldKind) -> Option<Value> {
    let Meaning::Text(text) = scalar.meaning() else { return None };
    if text.trim().is_empty() {
        return Some(Value::Array(Vec::new()));
    }
    let mut pieces: Vec<String> = Vec::new();
    for piece in text.split(',') {
        match pieces.last_mut() {
            Some(last) if matches!(kind, FieldKind::Urls) && !piece.contains("://") => {
                last.push(',');
                last.push_str(piece);
            }
            _ => pieces.push(piece.to_owned()),
        }
    }
    Some(pieces.into_iter().map(|piece| piece.trim().to_owned()).collect::<Vec<_>>().into())
}
