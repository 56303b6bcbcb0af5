//! The configuration as a person writes it: every rule of docs/configuration.md to §4b.

mod apps;
mod document;
mod environment;
mod examples;
mod message_channel;
mod peers_and_api;
mod robustness;
mod secrets;
mod support;
mod tunnel;
mod weak_typing;
mod yaml;
