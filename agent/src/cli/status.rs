//! `wovenet-agent status`: asks a running agent over its API and prints what it tells.

mod client;
mod endpoint;
mod table;
mod trust;
mod view;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use url::Url;

use client::{Client, Reply};
use endpoint::Endpoint;
use view::StatusView;

use crate::environment;

/// How long `--watch` waits for a change before it fetches new figures.
const WATCH_WAIT: Duration = Duration::from_secs(5);
/// The wait of `--watch` after the agent could not be asked.
const WATCH_RETRY: Duration = Duration::from_secs(2);
/// Goes to the upper left corner and clears the terminal (ECMA-48 CUP, ED).
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Arguments of `wovenet-agent status`.
#[derive(Args, Clone, Debug)]
pub struct StatusArguments {
    /// Show every change until interrupted
    #[arg(long)]
    pub watch: bool,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// The agent's API, such as https://127.0.0.1:9443 [default: as in the configuration file]
    #[arg(long, value_name = "URL")]
    pub api: Option<Url>,
    /// File with a bearer token
    #[arg(long, value_name = "FILE", conflicts_with = "user")]
    pub token_file: Option<PathBuf>,
    /// User name; the password is read from --password-file or from the variable WOVENET_API_PASSWORD
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// File with the user's password
    #[arg(long, value_name = "FILE", requires = "user")]
    pub password_file: Option<PathBuf>,
    /// PEM file with the certificate authorities to trust
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// The configuration file that the agent runs with: the global option `--config`.
    #[arg(skip)]
    pub config: Option<PathBuf>,
}

/// Form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    Table,
    /// As the API tells it, one document
    Json,
}

/// Asks the agent and prints its status; with `--watch` until interrupted.
///
/// # Errors
/// One that tells a person what to do: no API in the configuration, nobody listens, wrong credentials.
pub async fn run(arguments: StatusArguments) -> anyhow::Result<()> {
    let client = Client::new(Endpoint::find(&arguments, &environment::variables())?)?;
    let printed = match arguments.watch {
        false => once(&client, arguments.output).await,
        true => watch(&client, arguments.output).await,
    };
    // Whoever reads the output may stop reading it, such as `head`.
    let is_pipe = |error: &anyhow::Error| {
        error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    printed.or_else(|error| if is_pipe(&error) { Ok(()) } else { Err(error) })
}

async fn once(client: &Client, output: Output) -> anyhow::Result<()> {
    match client.status(None, Duration::ZERO).await? {
        Reply::Status { text, .. } => print(&render(&text, output)?),
        Reply::Unchanged => anyhow::bail!("the agent answered a question that was not asked"),
    }
}

async fn watch(client: &Client, output: Output) -> anyhow::Result<()> {
    let clear = if output == Output::Table && io::stdout().is_terminal() { CLEAR } else { "" };
    let mut shown = false;
    let mut after = None;
    loop {
        match client.status(after.as_deref(), WATCH_WAIT).await {
            Ok(Reply::Status { text, etag }) => {
                print(&format!("{clear}{}", render(&text, output)?))?;
                (shown, after) = (true, Some(etag));
            }
            // Figures of traffic are not part of the version.
            Ok(Reply::Unchanged) => after = None,
            Err(error) if !shown => return Err(error.into()),
            Err(error) => {
                writeln!(io::stderr(), "{error}")?;
                after = None;
                tokio::time::sleep(WATCH_RETRY).await;
            }
        }
    }
}

fn render(text: &str, output: Output) -> anyhow::Result<String> {
    match output {
        Output::Json => Ok(format!("{text}\n")),
        Output::Table => {
            let view: StatusView = serde_json::from_str(text).context("the answer is no status of an agent")?;
            Ok(table::table(&view))
        }
    }
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    Ok(output.flush()?)
}

#[cfg(test)]
mod tests;
