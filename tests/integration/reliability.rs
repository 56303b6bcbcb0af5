//! `docs/reliability.md` names a test for each row; every one of them must exist.

use std::path::{Path, PathBuf};

/// The repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Returns the names in backquotes that look like `file::test`.
fn named(document: &str) -> Vec<(&str, &str)> {
    document.split('`').skip(1).step_by(2).filter_map(|quoted| quoted.split_once(".rs::")).collect()
}

#[test]
fn every_test_that_the_reliability_page_names_exists() {
    let document = std::fs::read_to_string(root().join("docs/reliability.md")).unwrap();
    let named = named(&document);
    assert!(named.len() > 60, "the page lists the rows");
    let missing = named.into_iter().filter(|(file, test)| {
        let source = std::fs::read_to_string(root().join(format!("{file}.rs"))).unwrap_or_default();
        !source.contains(&format!("fn {test}("))
    });
    assert_eq!(missing.collect::<Vec<_>>(), []);
}

#[test]
fn the_reliability_page_has_a_line_for_every_row() {
    let document = std::fs::read_to_string(root().join("docs/reliability.md")).unwrap();
    let rows: Vec<&str> = document.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next()).collect();
    let upstream = (1..=27).map(|number| format!("B{number}"));
    let faults = [1, 2, 3, 5, 6, 9, 11, 13, 22, 31, 36, 42, 47, 88, 89, 90].into_iter().chain(23..=26);
    let faults = faults.chain(43..=46).chain(66..=74).chain([48, 58, 63, 80, 81, 84]).map(|number| number.to_string());
    let missing: Vec<String> = upstream.chain(faults).filter(|row| !rows.contains(&row.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
