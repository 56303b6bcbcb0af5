//! Manifests with places to fill: `${name}`.

use std::path::Path;

use anyhow::Context;

/// Reads a manifest and fills its places. Lines after the first of a value are indented as the place is.
///
/// # Errors
/// When the file cannot be read or has a place without a value.
pub fn fill(file: &Path, values: &[(&str, &str)]) -> anyhow::Result<String> {
    let mut text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    for (name, value) in values {
        text = fill_one(&text, &format!("${{{name}}}"), value.trim_end());
    }
    let left = text.split_once("${").map(|(_, rest)| rest.split('}').next().unwrap_or_default());
    anyhow::ensure!(left.is_none(), "{}: no value for {}", file.display(), left.unwrap_or_default());
    Ok(text)
}

fn fill_one(text: &str, place: &str, value: &str) -> String {
    let mut filled = String::new();
    for line in text.split_inclusive('\n') {
        let indent: String = line.chars().take_while(|letter| *letter == ' ').collect();
        filled += &line.replace(place, &value.replace('\n', &format!("\n{indent}")));
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_several_lines_keeps_the_indent_of_its_place() {
        assert_eq!(
            fill_one("key: |\n  ${key}\nlast: ${key}\n", "${key}", "one\ntwo"),
            "key: |\n  one\n  two\nlast: one\ntwo\n"
        );
    }

    #[test]
    fn a_place_without_a_value_is_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "${known} ${unknown}").unwrap();
        assert!(fill(file.path(), &[("known", "1")]).unwrap_err().to_string().ends_with("no value for unknown"));
    }
}
