//! The API over real sockets, in front of a fake agent.

mod auth;
mod browsers;
mod changes;
mod configuration;
mod document;
mod health;
mod limits;
mod operator;
mod status;
mod tls;
mod wovenet;
