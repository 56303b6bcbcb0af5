//! wovenet in two real Kubernetes clusters that cannot reach each other. Needs root; run by tests/e2e.sh.
#![cfg(test)]
#![allow(clippy::unwrap_used, reason = "tests")]

mod admission;
mod agents;
mod by_hand;
mod changes;
mod examples;
mod first_page;
mod installed;
mod operator_page;
mod outages;
mod release;
mod stage;
mod steps;
mod world;
