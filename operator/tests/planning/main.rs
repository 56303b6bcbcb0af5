//! What the operator makes of a cluster, told by what a person would write and by what agents would tell.
#![cfg(test)]
#![allow(clippy::unwrap_used, reason = "tests")]

mod attaching;
mod configuration;
mod exposed_apps;
mod exposing;
mod full_sites;
mod invalid_sites;
mod known_peers;
mod objects;
mod programmed;
mod reachability;
mod remote_apps;
mod restart;
mod scene;
mod secrets;
