//! Everything that was measured, what could not be, and the form for programs.

use crate::figures::{Better, Measure};
use crate::machine::Machine;
use crate::scene::Scene;
use crate::statistics::{Summary, summary};

/// The tunnel that all others are compared with.
pub(crate) const OWN: &str = "wovenet";

/// A run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// What was asked for.
    pub(crate) command: String,
    pub(crate) machine: Machine,
    pub(crate) figures: Vec<Figure>,
    /// Who did not take part or has no figure, and why.
    pub(crate) left_out: Vec<String>,
}

/// One measure in one scene, of every tunnel.
#[derive(Debug)]
pub(crate) struct Figure {
    pub(crate) scene: Scene,
    pub(crate) measure: Measure,
    pub(crate) rows: Vec<Row>,
}

/// One tunnel.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) values: Vec<f64>,
}

impl Report {
    pub(crate) fn add(&mut self, scene: Scene, measure: Measure, name: &str, value: f64) {
        let figure = self.figure(scene, measure);
        match figure.rows.iter_mut().find(|row| row.name == name) {
            Some(row) => row.values.push(value),
            None => figure.rows.push(Row { name: name.to_owned(), values: vec![value] }),
        }
    }

    /// Notes a tunnel or figure that is missing, once.
    pub(crate) fn leave_out(&mut self, what: String) {
        if !self.left_out.contains(&what) {
            self.left_out.push(what);
        }
    }

    fn figure(&mut self, scene: Scene, measure: Measure) -> &mut Figure {
        let at = match self.figures.binary_search_by_key(&(scene, measure), Figure::key) {
            Ok(at) => at,
            Err(at) => {
                self.figures.insert(at, Figure { scene, measure, rows: Vec::new() });
                at
            }
        };
        &mut self.figures[at]
    }

    /// Renders everything for programs.
    pub(crate) fn json(&self) -> serde_json::Value {
        let figures: Vec<_> = self.figures.iter().map(Figure::json).collect();
        serde_json::json!({
            "command": self.command, "machine": self.machine.json(), "left_out": self.left_out, "figures": figures,
        })
    }
}

impl Figure {
    fn key(&self) -> (Scene, Measure) {
        (self.scene, self.measure)
    }

    /// Returns wovenet's figure.
    pub(crate) fn own(&self) -> Option<Summary> {
        self.rows.iter().find(|row| row.name == OWN).and_then(Row::summary)
    }

    /// Returns how many times as good wovenet is as this row.
    pub(crate) fn advantage(&self, row: &Row) -> Option<f64> {
        let other = (row.name != OWN).then(|| row.summary())??;
        self.measure.advantage(self.own()?.median, other.median)
    }

    fn json(&self) -> serde_json::Value {
        let rows: Vec<_> = self.rows.iter().map(|row| row.json(self.advantage(row))).collect();
        let better = match self.measure.better() {
            Better::More => "more",
            Better::Less => "less",
            Better::Half => "half",
        };
        serde_json::json!({
            "scene": self.scene.title(), "measure": self.measure.title(), "unit": self.measure.unit(),
            "better": better, "tunnels": rows,
        })
    }
}

impl Row {
    pub(crate) fn summary(&self) -> Option<Summary> {
        summary(&self.values)
    }

    fn json(&self, advantage: Option<f64>) -> serde_json::Value {
        let (median, lowest, highest) =
            self.summary().map_or((None, None, None), |all| (Some(all.median), Some(all.lowest), Some(all.highest)));
        serde_json::json!({
            "name": self.name, "median": median, "lowest": lowest, "highest": highest, "values": self.values,
            "wovenet_is_times_as_good": advantage,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Two measures of three tunnels, out of order.
    pub(crate) fn example() -> Report {
        let mut report = Report::default();
        for (name, rate) in [(OWN, 1500.0), ("ssh -L", 3000.0), ("a & b", 500.0)] {
            report.add(Scene::Pair, Measure::RoundTrip, name, rate / 1e4);
            report.add(Scene::Pair, Measure::BulkUp, name, rate);
            report.add(Scene::Pair, Measure::BulkUp, name, rate * 1.2);
        }
        report.leave_out("frp: there is no program frps".to_owned());
        report.leave_out("frp: there is no program frps".to_owned());
        report
    }

    #[test]
    fn figures_are_in_the_order_of_their_scene_and_measure() {
        let measures: Vec<_> = example().figures.iter().map(|figure| figure.measure).collect();
        assert_eq!(measures, [Measure::BulkUp, Measure::RoundTrip]);
    }

    #[test]
    fn programs_read_medians_ratios_and_who_is_missing() {
        let json = example().json();
        assert_eq!(json.pointer("/figures/0/tunnels/1/median"), Some(&3300.0.into()));
        assert_eq!(json.pointer("/figures/0/tunnels/1/wovenet_is_times_as_good"), Some(&0.5.into()));
        assert_eq!(json.pointer("/figures/1/tunnels/1/wovenet_is_times_as_good"), Some(&2.0.into()));
        assert_eq!(json.pointer("/left_out"), Some(&vec!["frp: there is no program frps"].into()));
    }
}
