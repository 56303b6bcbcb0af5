//! Reads the file that a person wrote, as forgivingly as wovenet did, and tells everything that is wrong with it.
//!
//! In: the bytes of a YAML or JSON file and the environment. Out: a validated configuration with warnings, or every
//! problem with its line. Pure: it neither opens the file nor reads the environment.
//!
//! bytes → `source` (text) → `parse` (tree with lines) → `shape` (canonical document) → [`validate()`].

mod node;
mod origins;
mod parse;
mod scalar;
mod schema;
mod shape;
mod source;

use std::collections::{BTreeMap, BTreeSet};

use origins::Origins;

use crate::agent::AgentConfig;
use crate::document::Document;
use crate::problem::{Location, Problem, Severity};
use crate::validate::validate;

/// A person's file that was found good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// What the agent obeys.
    pub config: AgentConfig,
    /// The file in canonical form, with what the environment replaced.
    pub document: Document,
    /// What is allowed but perhaps not meant, by line.
    pub warnings: Vec<Problem>,
}

/// Reads the content of `file`, whose name chooses the format and stands in front of each problem.
///
/// A variable of `environment` replaces the value of the scalar key whose dotted path it spells in upper case, such as
/// `CRYPTO.KEY`, when that key is in the file and the variable is not empty.
///
/// # Errors
/// All problems by line, with the warnings, when at least one of them is an error.
pub fn load(file: &str, bytes: &[u8], environment: &BTreeMap<String, String>) -> Result<Loaded, Vec<Problem>> {
    let (problems, origins, good) = match source::text(file, bytes).and_then(|text| parse::parse(&text)) {
        Err(problem) => (vec![problem], Origins::default(), None),
        Ok(parsed) => judge(parsed, environment),
    };
    let mut problems: Vec<Problem> = problems.into_iter().map(|problem| locate(problem, file, &origins)).collect();
    problems.sort_by_key(|problem| problem.location.as_ref().map(|location| (location.line, problem.severity)));
    match good {
        Some((config, document)) if problems.iter().all(|problem| problem.severity == Severity::Warning) => {
            Ok(Loaded { config, document, warnings: problems })
        }
        _ => Err(problems),
    }
}

type Judged = (Vec<Problem>, Origins, Option<(AgentConfig, Document)>);

fn judge(parsed: parse::Parsed, environment: &BTreeMap<String, String>) -> Judged {
    let shaped = shape::shape(&parsed.root, environment);
    let mut problems = parsed.problems;
    problems.extend(shaped.problems);
    // A value that could not even be read would be reported again as missing.
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error && !problem.path.is_empty());
    let unreadable: BTreeSet<String> = errors.map(|problem| problem.path.clone()).collect();
    let (judged, good) = match validate(&shaped.document) {
        Ok(validated) => (validated.warnings, Some((validated.config, shaped.document))),
        Err(problems) => (problems, None),
    };
    let judged: Vec<Problem> = judged.into_iter().filter(|problem| !is_within(&problem.path, &unreadable)).collect();
    problems.extend(judged);
    (problems, shaped.origins, good)
}

/// Tells whether `path` is one of `outer` or lies in one of them.
fn is_within(path: &str, outer: &BTreeSet<String>) -> bool {
    let ends = path.char_indices().filter(|(_, c)| matches!(c, '.' | '[')).map(|(end, _)| end);
    ends.chain([path.len()]).any(|end| outer.contains(&path[..end]))
}

fn locate(mut problem: Problem, file: &str, origins: &Origins) -> Problem {
    if let Some(variable) = origins.variable(&problem.path) {
        problem.message.push_str(&format!(" (from the environment variable {variable})"));
    }
    let line = problem.location.map_or_else(|| origins.line(&problem.path), |location| location.line);
    problem.location = Some(Location { file: file.to_owned(), line });
    problem
}
