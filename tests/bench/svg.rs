//! The plot: for each figure a bar a tunnel, to the right where wovenet is better. Pure.

use crate::figures::digits;
use crate::report::{Figure, OWN, Report, Row};

/// Pixels of the whole width.
const WIDTH: f64 = 920.0;
/// Where a ratio of one is.
const MIDDLE: f64 = 560.0;
/// Pixels that a factor of two takes.
const PIXELS_PER_DOUBLING: f64 = 55.0;
/// Longer bars end here, in factors of two.
const DOUBLINGS_MAX: f64 = 5.0;
/// Pixels of a line of text, or of a bar.
const LINE: f64 = 18.0;
const AHEAD: &str = "#2a7f62";
const BEHIND: &str = "#b5482f";
const STYLE: &str = "text{font:12px sans-serif;fill:#222}.scene{font-weight:bold;font-size:14px}.own{fill:#555}";

/// Renders a report. Shares of a bottleneck are not ratios, so they are in the table only.
pub(crate) fn render(report: &Report) -> String {
    let mut body = Body { text: String::new(), y: LINE * 1.5 };
    body.line(10.0, "scene", "wovenet beside others: bars to the right where wovenet is better (doubling a step)");
    body.line(10.0, "own", &report.machine.line());
    let mut scene = None;
    for figure in report.figures.iter().filter(|figure| has_bars(figure)) {
        if scene.replace(figure.scene) != Some(figure.scene) {
            body.y += LINE;
            body.line(10.0, "scene", &figure.scene.title());
        }
        body.figure(figure);
    }
    let height = body.y + LINE;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\">\n\
         <style>{STYLE}</style>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{}</svg>\n",
        body.text
    )
}

fn has_bars(figure: &Figure) -> bool {
    figure.rows.iter().any(|row| figure.advantage(row).is_some())
}

/// What was drawn so far, and where the next line goes.
struct Body {
    text: String,
    y: f64,
}

impl Body {
    fn figure(&mut self, figure: &Figure) {
        let unit = figure.measure.unit();
        let own = figure.own().map(|own| digits(own.median)).unwrap_or_default();
        self.y += LINE / 2.0;
        self.line(10.0, "own", &format!("{}: {OWN} {own} {unit}", figure.measure.title()));
        let top = self.y - LINE + 4.0;
        for row in &figure.rows {
            if let Some(ratio) = figure.advantage(row) {
                self.bar(row, unit, ratio);
            }
        }
        let bottom = self.y - LINE + 4.0;
        self.text.push_str(&format!(
            "<line x1=\"{MIDDLE}\" x2=\"{MIDDLE}\" y1=\"{top:.0}\" y2=\"{bottom:.0}\" stroke=\"#222\"/>\n"
        ));
    }

    fn bar(&mut self, row: &Row, unit: &str, ratio: f64) {
        let length = ratio.log2().clamp(-DOUBLINGS_MAX, DOUBLINGS_MAX) * PIXELS_PER_DOUBLING;
        let (left, colour) = if length < 0.0 { (MIDDLE + length, BEHIND) } else { (MIDDLE, AHEAD) };
        let (top, width) = (self.y - LINE + 6.0, length.abs());
        self.text.push_str(&format!(
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>\n",
            LINE - 4.0
        ));
        let median = row.summary().map(|all| digits(all.median)).unwrap_or_default();
        self.at(MIDDLE + length.max(0.0) + 6.0, "", &format!("{ratio:.2}x"));
        self.line(30.0, "", &format!("{}: {median} {unit}", row.name));
    }

    fn line(&mut self, x: f64, class: &str, text: &str) {
        self.at(x, class, text);
        self.y += LINE;
    }

    fn at(&mut self, x: f64, class: &str, text: &str) {
        let (y, text) = (self.y, escape(text));
        self.text.push_str(&format!("<text x=\"{x:.0}\" y=\"{y:.0}\" class=\"{class}\">{text}</text>\n"));
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::example;

    #[test]
    fn bars_go_right_where_wovenet_is_better_and_left_where_not() {
        let svg = render(&example());
        let behind = format!("<rect x=\"{:.1}\"", MIDDLE - PIXELS_PER_DOUBLING);
        assert!(svg.contains(&behind) && svg.contains(BEHIND), "{svg}");
        assert!(svg.contains(&format!("<rect x=\"{MIDDLE:.1}\"")) && svg.contains(AHEAD), "{svg}");
    }

    #[test]
    fn names_are_text_and_never_markup() {
        let svg = render(&example());
        assert!(svg.contains("a &amp; b: 550 Mbit/s"), "{svg}");
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
    }
}
