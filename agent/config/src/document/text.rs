//! Scalars that need their own form in a document: secrets, durations, and a list that may be written as one text.

use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::secret::SecretText;

/// What stands in a redacted document where a secret was.
pub const REDACTED: &str = "<redacted>";

/// A secret as it stands in a document: written in clear when serialised, never shown by Debug or in an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretValue(pub SecretText);

impl SecretValue {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretText::new(text))
    }

    /// Returns the secret. The caller must not log it.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl Serialize for SecretValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

impl<'de> Deserialize<'de> for SecretValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The library's own message would repeat the value.
        String::deserialize(deserializer).map(Self::new).map_err(|_| D::Error::custom("a secret must be text"))
    }
}

/// A duration as written: `5s`, `500ms`, `2m`, or a number of seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DurationText(pub String);

impl<'de> Deserialize<'de> for DurationText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DurationVisitor).map(Self)
    }
}

struct DurationVisitor;

impl Visitor<'_> for DurationVisitor {
    type Value = String;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration like 5s, or a number of seconds")
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }
    fn visit_u64<E: Error>(self, seconds: u64) -> Result<String, E> {
        Ok(seconds.to_string())
    }
    fn visit_i64<E: Error>(self, seconds: i64) -> Result<String, E> {
        Ok(seconds.to_string())
    }
    fn visit_f64<E: Error>(self, seconds: f64) -> Result<String, E> {
        Ok(seconds.to_string())
    }
}

/// Reads a list of secrets that may be written as one.
pub(super) fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SecretValue>, D::Error> {
    deserializer.deserialize_any(OneOrMany)
}

struct OneOrMany;

impl<'de> Visitor<'de> for OneOrMany {
    type Value = Vec<SecretValue>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a list of texts")
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(vec![SecretValue::new(text)])
    }
    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Ok(values)
    }
}
