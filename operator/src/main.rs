//! `wovenet-operator`: arguments, telemetry, and the exit code.

use std::process::ExitCode;

use clap::Parser;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use tokio::signal::unix::{SignalKind, signal};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use wovenet_operator::cli::{Arguments, CheckArguments, Command, LogFormat, RunArguments};
use wovenet_operator::{leader, operator};

/// The kinds that must be established.
const DEFINITIONS: [&str; 3] = ["sites.wovenet.io", "exposedapps.wovenet.io", "remoteapps.wovenet.io"];

fn main() -> ExitCode {
    match execute(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the operator ends");
            // Nothing can be done when standard error is gone.
            drop(std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{error:#}\n")));
            ExitCode::FAILURE
        }
    }
}

fn execute(arguments: Arguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    match arguments.command {
        Command::Run(arguments) => {
            log(&arguments);
            let result = runtime.block_on(async {
                let (mut terminate, mut interrupt) =
                    (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
                let stop = async {
                    tokio::select! {
                        _ = terminate.recv() => {}
                        _ = interrupt.recv() => {}
                    }
                };
                operator::run(arguments, stop).await
            });
            runtime.shutdown_timeout(std::time::Duration::from_secs(1));
            result
        }
        Command::Check(arguments) => runtime.block_on(check(arguments)),
    }
}

fn log(arguments: &RunArguments) {
    // Every failed request is told by who made it, with what is done about it; the library would tell each once more.
    let filter = Targets::new().with_default(arguments.log_level).with_target("kube_client", LevelFilter::OFF);
    let lines = tracing_subscriber::fmt::layer();
    let registry = tracing_subscriber::registry();
    match arguments.log_format {
        LogFormat::Text => registry.with(lines.with_filter(filter)).init(),
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_current_span(false).with_span_list(false);
            registry.with(lines.with_filter(filter)).init();
        }
    }
}

async fn check(arguments: CheckArguments) -> anyhow::Result<()> {
    let client = wovenet_operator::client::client().await?;
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    for name in DEFINITIONS {
        let definition = definitions.get(name).await?;
        let conditions = definition.status.and_then(|status| status.conditions).unwrap_or_default();
        let established = conditions.iter().any(|one| one.type_ == "Established" && one.status == "True");
        anyhow::ensure!(established, "the definition {name} is not established yet");
    }
    let leases: Api<Lease> = Api::namespaced(client, &arguments.namespace);
    let holder = leases.get(leader::LEASE).await?.spec.and_then(|spec| spec.holder_identity);
    anyhow::ensure!(holder.is_some_and(|holder| !holder.is_empty()), "no operator holds the Lease {}", leader::LEASE);
    Ok(())
}
