//! Arguments.

use std::net::SocketAddr;

use clap::{Parser, Subcommand, ValueEnum};

/// Turns Sites, ExposedApps and RemoteApps into agents and Services.
#[derive(Clone, Debug, Parser)]
#[command(name = "wovenet-operator", version, about, arg_required_else_help = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run the operator until it is told to stop.
    Run(RunArguments),
    /// Check that the kinds are established and that an operator leads; for `helm test`.
    Check(CheckArguments),
}

/// Arguments of `run`.
#[derive(Clone, Debug, clap::Args)]
pub struct RunArguments {
    /// The operator's own namespace, where Sites live.
    #[arg(long, env = "POD_NAMESPACE", default_value = "wovenet-system")]
    pub namespace: String,
    /// The name of this replica.
    #[arg(long, env = "POD_NAME", default_value = "operator")]
    pub name: String,
    /// The image of agents, unless a Site names another.
    #[arg(long, env = "WOVENET_AGENT_IMAGE")]
    pub agent_image: String,
    /// How the image of agents is pulled.
    #[arg(long, env = "WOVENET_AGENT_PULL_POLICY", default_value = "IfNotPresent")]
    pub agent_pull_policy: String,
    /// Where health and metrics are served.
    #[arg(long, default_value = "0.0.0.0:8080")]
    pub metrics_addr: SocketAddr,
    /// The form of the log.
    #[arg(long, default_value = "json")]
    pub log_format: LogFormat,
    /// The least severe level that is logged.
    #[arg(long, env = "WOVENET_LOG", default_value = "info")]
    pub log_level: tracing::Level,
}

/// Arguments of `check`.
#[derive(Clone, Debug, clap::Args)]
pub struct CheckArguments {
    /// The operator's namespace.
    #[arg(long, env = "POD_NAMESPACE", default_value = "wovenet-system")]
    pub namespace: String,
}

/// The form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}
