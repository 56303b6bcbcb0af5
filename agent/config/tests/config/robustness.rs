//! No input makes the loader panic, hang or grow.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::support::{BASE, bad, bad_whole, has, lines, load};
use wovenet_config::Document;

#[test]
fn a_file_over_one_mebibyte_is_refused() {
    has(
        &bad_whole(&format!("{BASE}#{}", "x".repeat(1 << 20))),
        &["config.yaml:1: error: the file has ", "at most 1048576"],
    );
    assert!(load(&format!("{BASE}#{}", "x".repeat((1 << 20) - BASE.len() - 1))).is_ok());
}

#[test]
fn deep_nesting_is_refused_written_or_by_aliases() {
    has(&bad(&format!("x: {}\n", "[".repeat(100))), &["levels"]);
    has(&bad_whole(&"[".repeat(1 << 20)), &["config.yaml:1: error"]);
    has(&bad_whole(&"- ".repeat(1 << 19)), &["levels"]);
    let mut text = "a0: &a0 [x]\n".to_owned();
    for n in 1..100 {
        text.push_str(&format!("a{n}: &a{n} [*a{}]\n", n - 1));
    }
    has(&bad_whole(&text), &["levels"]);
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..20 {
        let aliases = vec![format!("*a{}", n - 1); 10].join(", ");
        text.push_str(&format!("a{n}: &a{n} [{aliases}]\n"));
    }
    has(&bad_whole(&text), &["the aliases of the file stand for more than"]);
    has(&bad("x: &x [*x]\n"), &["config.yaml:4: error: the alias stands inside of what it refers to"]);
}

#[test]
fn a_merge_bomb_is_refused() {
    let keys: String = (0..20_000).map(|n| format!("  k{n}: 1\n")).collect();
    let uses: String = (0..20_000).map(|n| format!("u{n}: {{<<: *a}}\n")).collect();
    has(&bad_whole(&format!("a: &a\n{keys}{uses}")), &["the aliases of the file stand for more than"]);
}

#[test]
fn bytes_that_are_no_text_name_their_line() {
    let problems = wovenet_config::load("config.yaml", b"siteName: a\nx: \xff\n", &BTreeMap::new()).expect_err("bad");
    has(&lines(&problems), &["config.yaml:2: error: the file is not UTF-8 text here"]);
}

#[test]
fn values_in_messages_stay_on_one_line() {
    let text = bad("logger: {level: \"a\\nb\\e[31m\"}\n\"we\\nird\": 1\n");
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(!text.contains('\u{1b}'));
}

fn yaml_like() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "siteName",
        "crypto",
        "key",
        "tunnel",
        "localSockets",
        "localExposedApps",
        "remoteApps",
        "appSocket",
        "stun",
        ": ",
        ":\n  ",
        "\n- ",
        "\n  - ",
        "\n",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "&a ",
        "*a",
        "<<",
        "? ",
        "| ",
        "|\n   ",
        ">-\n ",
        "'",
        "\"",
        "\\",
        "#",
        "!",
        "!!str ",
        "%YAML 1.2\n",
        "---\n",
        "...\n",
        "\t",
        "\r\n",
        "0x1f",
        "1e9",
        "~",
        "é",
        "\u{feff}",
        "-1",
        "tcp:127.0.0.1:1",
        "unix:",
        "true",
        "2001-01-01",
        "@",
        "`",
        "\u{0}",
        "\u{85}",
        "\u{2028}",
    ]);
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for file in ["a.yaml", "a.json", "a.toml", "a"] {
            let _ = wovenet_config::load(file, &bytes, &BTreeMap::new());
        }
        let _ = Document::read(&bytes);
    }

    #[test]
    fn text_like_yaml_never_panics_and_every_problem_is_one_line(text in yaml_like()) {
        for text in [text.clone(), format!("{BASE}{text}")] {
            if let Err(problems) = load(&text) {
                prop_assert!(!problems.is_empty());
                for problem in problems {
                    prop_assert!(problem.to_string().starts_with("config.yaml:"));
                    prop_assert!(!problem.to_string().contains('\n'), "{}", problem);
                }
            }
        }
    }
}
