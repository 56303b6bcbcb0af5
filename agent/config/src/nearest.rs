//! Finds the valid word that a person most likely meant.

/// Returns the candidate nearest to `word` by edit distance, ignoring case, when it is near enough to be meant.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A long word is no slip of the pen, and the distance costs the product of the lengths.
    if word.len() > 64 {
        return None;
    }
    let word = word.to_ascii_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&word, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Lists the valid words of a setting, with the one most likely meant first.
pub(crate) fn advice(word: &str, candidates: &[&str]) -> String {
    let list = candidates.join(", ");
    match nearest(word, candidates.iter().copied()) {
        Some(meant) => format!("did you mean {meant}? Valid: {list}"),
        None => format!("valid: {list}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODES: &[&str] = &["dedicated-address", "port-forwarding"];

    #[test]
    fn a_slip_finds_the_word_that_was_meant() {
        assert_eq!(nearest("port-forwardng", MODES.iter().copied()), Some("port-forwarding"));
        assert_eq!(nearest("Dedicated-Address", MODES.iter().copied()), Some("dedicated-address"));
    }

    #[test]
    fn another_word_finds_nothing() {
        assert_eq!(nearest("nonsense", MODES.iter().copied()), None);
        assert_eq!(advice("nonsense", MODES), "valid: dedicated-address, port-forwarding");
    }

    #[test]
    fn a_transposition_counts_as_one_slip() {
        assert_eq!(nearest("qiuc", ["quic", "tls"]), Some("quic"));
    }
}
