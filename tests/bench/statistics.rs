//! Median and spread. Pure.

/// The middle of what was measured, and its ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) lowest: f64,
    pub(crate) highest: f64,
}

/// Sums values up; none of nothing.
pub(crate) fn summary(values: &[f64]) -> Option<Summary> {
    let lowest = values.iter().copied().min_by(f64::total_cmp)?;
    let highest = values.iter().copied().max_by(f64::total_cmp)?;
    Some(Summary { median: median(values), lowest, highest })
}

/// Returns the middle value, or the mean of the two in the middle; 0 of nothing.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        length if length % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two_in_the_middle() {
        assert_eq!(median(&[9.0, 1.0, 5.0]), 5.0);
        assert_eq!(median(&[9.0, 1.0, 5.0, 7.0]), 6.0);
        assert_eq!(median(&[]), 0.0);
    }

    #[test]
    fn a_summary_has_both_ends() {
        assert_eq!(summary(&[2.0, 8.0, 3.0]), Some(Summary { median: 3.0, lowest: 2.0, highest: 8.0 }));
        assert_eq!(summary(&[]), None);
    }
}
