//! What the API server is given: the checked-in files, their bounds and descriptions, and every rule.

mod definitions;
mod rules;
mod support;
