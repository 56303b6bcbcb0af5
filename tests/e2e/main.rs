//! wovenet in two real Kubernetes clusters that cannot reach each other. Needs root; run by tests/e2e.sh.
#![cfg(test)]
#![allow(clippy::unwrap_used, reason = "tests")]

mod agents;
mod by_hand;
mod first_page;
mod stage;
mod steps;
mod world;
