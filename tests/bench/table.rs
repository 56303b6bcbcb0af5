//! The table for people. Pure.

use crate::figures::{Better, digits};
use crate::report::{Figure, Report, Row};

/// What the columns mean.
const LEGEND: &str =
    "median (lowest to highest); the last column: how many times as good wovenet is, above 1 is better\n";

/// Renders a report.
pub(crate) fn render(report: &Report) -> String {
    let mut text = format!("{}\n{}\n{LEGEND}", report.command, report.machine.line());
    let mut scene = None;
    for figure in &report.figures {
        if scene.replace(figure.scene) != Some(figure.scene) {
            text.push_str(&format!("\n== {} ==\n", figure.scene.title()));
        }
        text.push_str(&render_figure(figure));
    }
    if !report.left_out.is_empty() {
        text.push_str(&format!("\nleft out:\n  {}\n", report.left_out.join("\n  ")));
    }
    text
}

fn render_figure(figure: &Figure) -> String {
    let better = match figure.measure.better() {
        Better::More => "more is better",
        Better::Less => "less is better",
        Better::Half => "50 is even",
    };
    let mut text = format!("\n{}, {} ({better})\n", figure.measure.title(), figure.measure.unit());
    figure.rows.iter().for_each(|row| text.push_str(&render_row(figure, row)));
    text
}

fn render_row(figure: &Figure, row: &Row) -> String {
    let Some(all) = row.summary() else { return String::new() };
    let spread = format!("({} to {})", digits(all.lowest), digits(all.highest));
    let line = format!("  {:<20}{:>9}  {spread:<20}", row.name, digits(all.median));
    let advantage = figure.advantage(row).map(|ratio| format!("{ratio:>6.2}x")).unwrap_or_default();
    format!("{}\n", format!("{line}{advantage}").trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::example;

    #[test]
    fn a_table_has_medians_spread_and_ratios() {
        let table = render(&example());
        let expected = "
== veth pair, TCP cubic ==

one bulk stream up, Mbit/s (more is better)
  wovenet                  1650  (1500 to 1800)
  ssh -L                   3300  (3000 to 3600)        0.50x
  a & b                     550  (500 to 600)          3.00x

64 B round trip, ms (less is better)
  wovenet                  0.15  (0.15 to 0.15)
  ssh -L                   0.30  (0.30 to 0.30)        2.00x
  a & b                    0.05  (0.05 to 0.05)        0.33x

left out:
  frp: there is no program frps
";
        assert!(table.ends_with(expected), "{table}");
    }
}
