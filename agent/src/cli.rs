//! Commands of the program that talk to a running agent.

pub mod status;
