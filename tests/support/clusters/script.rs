//! Runs tests/cluster/cluster.sh, with an end to every wait.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context;

/// How long anything may take in a cluster on a busy machine.
pub const PATIENCE_MINUTE: Duration = Duration::from_secs(60);
/// How long one call of the script may take: the longest brings up both clusters.
const LIMIT: Duration = Duration::from_secs(180);
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/cluster/cluster.sh");

/// Runs the script and returns its standard output.
pub(super) fn run(arguments: &[&str]) -> anyhow::Result<String> {
    run_with(arguments, "")
}

/// Runs the script with text for its standard input.
pub(super) fn run_with(arguments: &[&str], input: &str) -> anyhow::Result<String> {
    let what = || format!("cluster.sh {}", arguments.join(" "));
    let mut child = Command::new("timeout")
        .args(["--kill-after=5", &LIMIT.as_secs().to_string(), SCRIPT])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(what)?;
    // Dropped at once, as the script may read to the end. One that reads nothing may have gone away already.
    child.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().with_context(what)?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{}: {}: {}", what(), output.status, complaint.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
