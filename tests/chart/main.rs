//! The chart: linted strictly, rendered with every file of its `ci` folder, and every rendered object judged.
//!
//! Needs the program helm, which `tests/chart.sh` names in `HELM`. No cluster is asked.

mod definitions;
mod helm;
mod labels;
mod notes;
mod objects;
mod pods;
mod policies;
mod rights;
mod switches;
mod values;
