//! Turns the bytes of a file into text that the YAML parser reads.

use std::borrow::Cow;
use std::path::Path;

use serde::de::IgnoredAny;

use crate::document::DOCUMENT_MAX_BYTES;
use crate::problem::Problem;

/// Checks size, encoding and format. JSON is checked by its own rules first, which are stricter than those of YAML.
pub(super) fn text<'a>(file: &str, bytes: &'a [u8]) -> Result<Cow<'a, str>, Problem> {
    if bytes.len() > DOCUMENT_MAX_BYTES {
        let message = format!("the file has {} bytes, at most {DOCUMENT_MAX_BYTES} are allowed", bytes.len());
        return Err(Problem::error("", message).at_line(1));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        Problem::error("", "the file is not UTF-8 text here; save it as UTF-8").at_line(line)
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let extension = Path::new(file).extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "toml" => Err(Problem::error("", "TOML is not supported; write the file as YAML").at_line(1)),
        "json" => json(text),
        _ => Ok(text.into()),
    }
}

fn json(text: &str) -> Result<Cow<'_, str>, Problem> {
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| {
        // The position is in the location; the words of the library do not repeat values here.
        let words = error.to_string();
        let words = words.split(" at line ").next().unwrap_or_default();
        Problem::error("", format!("the file is not JSON: {words}")).at_line(error.line().max(1))
    })?;
    // JSON may be indented by tabs, YAML not; a string of JSON cannot hold a raw tab.
    Ok(text.replace('\t', " ").into())
}
