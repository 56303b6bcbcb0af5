//! Clients and servers of the tests in network namespaces. Each tells what happens as JSON, one event a line.
#![allow(clippy::print_stdout, reason = "its output is read by tests")]

#[path = "test_peer/clients.rs"]
mod clients;
#[path = "test_peer/servers.rs"]
mod servers;
#[path = "test_peer/socket.rs"]
mod socket;

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Parser, Subcommand};
use serde_json::Value;

use socket::SocketName;

/// Plays one client or one server.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// Serves one page over HTTP; `{client}` in it becomes the client's address. POST is answered as `docker exec` is.
    Web {
        #[arg(long)]
        listen: SocketName,
        #[arg(long)]
        page: String,
    },
    /// Sends back what comes, and ends when the client does.
    Echo {
        #[arg(long)]
        listen: SocketName,
    },
    /// Sends back what comes from thousands of clients at a time.
    Echoes {
        #[arg(long)]
        listen: SocketAddr,
    },
    /// Greets each client with a line, and waits for its end.
    Banner {
        #[arg(long)]
        listen: SocketName,
        #[arg(long)]
        text: String,
    },
    /// Occupies a UDP port.
    HoldUdp {
        #[arg(long)]
        listen: SocketAddr,
    },
    /// Tries to connect until it works.
    Reach {
        #[arg(long)]
        to: SocketName,
        #[arg(long)]
        limit_ms: u64,
    },
    /// Fetches a page over HTTP.
    Fetch {
        #[arg(long)]
        to: SocketName,
    },
    /// Reads the first line that the server sends.
    Greeting {
        #[arg(long)]
        to: SocketName,
    },
    /// Sends a POST with input, half-closes, and reads the answer to its end.
    Exec {
        #[arg(long)]
        to: SocketName,
    },
    /// Makes new connections all the time, each of which wants an echo.
    ConnectLoop {
        #[arg(long)]
        to: SocketName,
        #[arg(long, default_value_t = 50)]
        every_ms: u64,
        #[arg(long, default_value_t = 10_000)]
        limit_ms: u64,
    },
    /// Holds connections with an echo every now and then, and tells how each ends.
    Hold {
        #[arg(long)]
        to: SocketName,
        #[arg(long, default_value_t = 1)]
        count: u64,
        #[arg(long, default_value_t = 100)]
        every_ms: u64,
    },
    /// Moves data through an echo for a while, and checks every byte.
    Pump {
        #[arg(long)]
        to: SocketName,
        #[arg(long)]
        for_ms: u64,
        /// Pause between two blocks.
        #[arg(long, default_value_t = 0)]
        every_ms: u64,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().role {
        Role::Web { listen, page } => servers::web(&listen, &page),
        Role::Echo { listen } => servers::echo(&listen),
        Role::Echoes { listen } => servers::echoes(listen),
        Role::Banner { listen, text } => servers::banner(&listen, &text),
        Role::HoldUdp { listen } => servers::hold_udp(listen),
        Role::Reach { to, limit_ms } => clients::reach(&to, limit_ms),
        Role::Fetch { to } => clients::fetch(&to),
        Role::Greeting { to } => clients::greeting(&to),
        Role::Exec { to } => clients::exec(&to),
        Role::ConnectLoop { to, every_ms, limit_ms } => clients::connect_loop(&to, every_ms, limit_ms),
        Role::Hold { to, count, every_ms } => clients::hold(&to, count, every_ms),
        Role::Pump { to, for_ms, every_ms } => clients::pump(&to, for_ms, every_ms),
    }
}

/// Tells an event. A line is written whole, as standard output is locked and flushed by lines.
fn tell(event: &Value) {
    println!("{event}");
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
