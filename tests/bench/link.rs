//! The emulated link between the two namespaces, in a process of its own.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::Context;
use wovenet_tests::netns::Namespace;
use wovenet_tests::process::sibling;

use crate::scene::LinkSettings;

/// A running link. It ends when dropped, or with this process, as its input ends.
pub(crate) struct Link {
    child: Child,
    _input: ChildStdin,
}

impl Link {
    /// Joins the namespaces; `addresses` with their prefix lengths.
    pub(crate) fn start(
        namespaces: [&Namespace; 2],
        addresses: [&str; 2],
        settings: LinkSettings,
    ) -> anyhow::Result<Self> {
        let LinkSettings { round_trip, queue, loss, burst, rate } = settings;
        let mut command = Command::new(sibling("wovenet-test-link")?);
        command.arg("--namespaces").args(namespaces.map(Namespace::name)).arg("--addresses").args(addresses);
        let numbers = [("round-trip", round_trip), ("queue", queue), ("loss", loss), ("burst", burst), ("rate", rate)];
        for (name, number) in numbers {
            command.arg(format!("--{name}={number}"));
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take().context("the link has no input")?;
        let output = child.stdout.take().context("the link has no output")?;
        let link = Self { child, _input: input };
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        anyhow::ensure!(line.trim() == "ready", "the link was not made; it needs root and /dev/net/tun");
        Ok(link)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
