//! `make demo`: two sites on one machine, from the files in examples/hello, with everything that can go wrong shown.
#![allow(clippy::print_stdout, reason = "a demo talks to a person")]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use wovenet_tests::agent::Agent;
use wovenet_tests::broker::Broker;
use wovenet_tests::ports::{free_tcp_port, free_udp_port};
use wovenet_tests::until::{PATIENCE, until};
use wovenet_tests::{http, web};

/// What the web app answers.
const PAGE: &str = "Hello from the office network\n";
/// How long the page is fetched without a broker.
const WITHOUT_BROKER: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let directory = match tempfile::tempdir() {
        Ok(directory) => directory,
        Err(error) => {
            println!("cannot make a directory for the demo: {error}");
            return ExitCode::FAILURE;
        }
    };
    match demo(directory.path()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("\nThe demo failed: {error:#}");
            for site in ["office", "home"] {
                let log = std::fs::read_to_string(directory.path().join(site).join("agent.log")).unwrap_or_default();
                println!("\n--- the log of {site}\n{log}");
            }
            ExitCode::FAILURE
        }
    }
}

/// The parts of the demo.
struct Parts {
    broker: Broker,
    office: Agent,
    home: Agent,
    page: SocketAddr,
}

fn demo(directory: &Path) -> anyhow::Result<()> {
    println!("wovenet demo: a page of the site \"office\" is fetched at the site \"home\"\n");
    let clock = Instant::now();
    let mut parts = start(directory, clock)?;
    parts.office.start()?;
    parts.home.start()?;
    let took = first_page(parts.page)?;
    step(clock, &format!("two agents started; the page came {} ms later: {:?}", took.as_millis(), PAGE.trim()));
    kill_and_restart(&mut parts, clock)?;
    without_broker(&mut parts, clock)?;
    stop(parts, clock)?;
    println!(
        "\nAll of it worked. Next:\n\
         \u{20} examples/hello/          the two files that this ran, with comments\n\
         \u{20} examples/                more set-ups, each with a README\n\
         \u{20} README.md                how to join two real sites in five minutes\n\
         \u{20} wovenet-agent status     what a running agent sees"
    );
    Ok(())
}

fn start(directory: &Path, clock: Instant) -> anyhow::Result<Parts> {
    let broker = Broker::start(directory)?;
    step(clock, &format!("an MQTT broker runs on 127.0.0.1:{}", broker.port()));
    let app = web::serve(PAGE.to_owned())?;
    step(clock, &format!("a web app of the office runs on 127.0.0.1:{app}; only the office's agent knows"));
    let (tunnel, local) = (free_udp_port()?, free_tcp_port()?);
    let key = wovenet_agent::peer::mesh_key::generate()?;
    let ports = [("1883", broker.port()), ("51820", tunnel), ("8080", app), ("8081", local)];
    let office = Agent::new(directory, "office", &example("office.yaml", &ports, &key)?)?;
    let home = Agent::new(directory, "home", &example("home.yaml", &ports, &key)?)?;
    step(clock, "configured from examples/hello/office.yaml and home.yaml, with free ports and a fresh key");
    Ok(Parts { broker, office, home, page: SocketAddr::from((Ipv4Addr::LOCALHOST, local)) })
}

/// Reads a file of examples/hello with its ports and key replaced.
fn example(name: &str, ports: &[(&str, u16)], key: &str) -> anyhow::Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/hello").join(name);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let replace = |text: String, (from, to): &(&str, u16)| text.replace(*from, &to.to_string());
    let text = ports.iter().fold(text, replace);
    let key_line = |line: &str| match line.split_once("key: wvk1_") {
        Some((before, _)) => format!("{before}key: {key}"),
        None => line.to_owned(),
    };
    Ok(text.lines().map(key_line).collect::<Vec<_>>().join("\n"))
}

fn first_page(page: SocketAddr) -> anyhow::Result<Duration> {
    let (_, took) = until("the page arrives", PATIENCE, || http::get(page, "/").ok().filter(|body| body == PAGE))?;
    Ok(took)
}

fn kill_and_restart(parts: &mut Parts, clock: Instant) -> anyhow::Result<()> {
    parts.office.process()?.kill()?;
    step(clock, "the office's agent was killed with -9");
    parts.office.start()?;
    let took = first_page(parts.page)?;
    step(clock, &format!("it was started again; the page works after {} ms", took.as_millis()));
    Ok(())
}

fn without_broker(parts: &mut Parts, clock: Instant) -> anyhow::Result<()> {
    parts.broker.kill()?;
    let (end, mut pages) = (Instant::now() + WITHOUT_BROKER, 0);
    while Instant::now() < end {
        let body = http::get(parts.page, "/").context("without the broker")?;
        anyhow::ensure!(body == PAGE, "another page arrived without the broker");
        pages += 1;
    }
    step(clock, &format!("the broker was killed; the page was fetched {pages} times since, all well"));
    parts.office.process()?.kill()?;
    parts.office.start()?;
    let took = first_page(parts.page)?;
    step(clock, &format!("the office's agent was killed and started without a broker; works after {} ms", took.as_millis()));
    Ok(())
}

fn stop(mut parts: Parts, clock: Instant) -> anyhow::Result<()> {
    for agent in [&mut parts.home, &mut parts.office] {
        let status = agent.process()?.terminate(PATIENCE)?;
        anyhow::ensure!(status.success(), "the agent of {} ended with {status}", agent.name());
    }
    step(clock, "both agents stopped cleanly");
    Ok(())
}

fn step(clock: Instant, what: &str) {
    println!("{:7.3} s  {what}", clock.elapsed().as_secs_f64());
}
