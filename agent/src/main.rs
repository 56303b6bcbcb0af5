//! `wovenet-agent`: arguments, and the exit code.

use std::io::{stderr, stdin, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser, Subcommand};
use wovenet_agent::cli::status::StatusArguments;
use wovenet_agent::cli::{check, configuration_file, keys, run, status};

/// Uses applications of one private network from another as if they were local.
#[derive(Parser)]
#[command(name = "wovenet-agent", version, about, arg_required_else_help = true)]
struct Arguments {
    /// The configuration file [default: $HOME/.wovenet/config.yaml].
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the agent until it is told to stop.
    Run {
        /// Keep no state on disk: after a restart this is another site.
        #[arg(long)]
        ephemeral: bool,
        /// How many seconds open streams may go on after the agent was told to stop.
        #[arg(long, value_name = "SECONDS", default_value_t = wovenet_agent::app::SHUTDOWN_GRACE.as_secs())]
        grace: u64,
        /// Ignored, as in wovenet.
        #[arg(hide = true)]
        ignored: Vec<String>,
    },
    /// Show every error and warning of a configuration.
    Check {
        /// The configuration file.
        file: Option<PathBuf>,
    },
    /// Make a mesh key, the secret that all sites of a mesh share.
    Keygen {
        /// Convert the passphrase on standard input instead of making a random key.
        #[arg(long)]
        from_passphrase: bool,
        /// The topic that the sites with the passphrase have configured, if any.
        #[arg(long, requires = "from_passphrase")]
        topic: Option<String>,
    },
    /// Show this site's id and public key, as others list it under `peers`.
    Identity,
    /// Show sites, tunnels, channels, apps and traffic of a running agent.
    Status(StatusArguments),
    /// Show the version.
    Version,
    /// Write shell completions to standard output.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write the OpenAPI document to standard output.
    #[command(hide = true)]
    Openapi,
}

fn main() -> ExitCode {
    match execute(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing can be done when standard error is gone.
            drop(std::io::Write::write_fmt(&mut stderr(), format_args!("{error:#}\n")));
            ExitCode::FAILURE
        }
    }
}

fn execute(arguments: Arguments) -> anyhow::Result<()> {
    let out = &mut stdout();
    let file = || configuration_file(arguments.config.clone());
    match arguments.command {
        Command::Run { ephemeral, grace, .. } => {
            let file = file()?;
            run::run(file, ephemeral, Duration::from_secs(grace))
        }
        Command::Check { file: Some(named) } => check::check(&named, out),
        Command::Check { file: None } => check::check(&file()?, out),
        Command::Keygen { from_passphrase: true, topic } => keys::from_passphrase(stdin(), topic.as_deref(), out),
        Command::Keygen { .. } => keys::generate(out),
        Command::Identity => keys::identity(&file()?, out),
        Command::Status(status) => status_command(StatusArguments { config: arguments.config, ..status }),
        Command::Version => {
            Ok(std::io::Write::write_fmt(out, format_args!("wovenet-agent {}\n", env!("CARGO_PKG_VERSION")))?)
        }
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "wovenet-agent", out);
            Ok(())
        }
        Command::Openapi => Ok(std::io::Write::write_fmt(out, format_args!("{}", wovenet_agent::api::openapi_json()))?),
    }
}

fn status_command(arguments: StatusArguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(status::run(arguments))
}
