//! The two real Kubernetes clusters of tests/cluster, each behind a NAT router of its own, and the internet between them.
//! Needs root, and what tests/cluster/build.sh builds.

mod cluster;
mod script;
mod template;

use std::path::Path;

pub use cluster::{Cluster, PodProcess};
pub use script::PATIENCE_MINUTE;
pub use template::fill;

/// Starts what is missing of both clusters.
///
/// # Errors
/// When one does not become ready.
pub fn up() -> anyhow::Result<[Cluster; 2]> {
    script::run(&["up"])?;
    Ok([Cluster::new('a'), Cluster::new('b')])
}

/// Ends both clusters and removes all that they left.
///
/// # Errors
/// When something cannot be removed.
pub fn down() -> anyhow::Result<()> {
    script::run(&["down"]).map(drop)
}

/// Loads an image archive into every node.
///
/// # Errors
/// When the archive is missing or broken.
pub fn load(archive: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(archive.is_file(), "{} is missing; run make images", archive.display());
    script::run(&["load", &archive.display().to_string()]).map(drop)
}

/// Gives an image of every node another name.
///
/// # Errors
/// When a node lacks it.
pub fn tag(image: &str, name: &str) -> anyhow::Result<()> {
    script::run(&["tag", image, name]).map(drop)
}

/// Starts a server in a place, such as a broker in `inet`, that runs until the clusters end or [`end`] is called.
///
/// # Errors
/// When the place does not exist.
pub fn serve(place: &str, name: &str, command: &[&str]) -> anyhow::Result<()> {
    script::run(&[&["run", place, name], command].concat()).map(drop)
}

/// Ends a server that [`serve`] started.
///
/// # Errors
/// When it cannot be ended.
pub fn end(name: &str) -> anyhow::Result<()> {
    script::run(&["end", name]).map(drop)
}

/// Runs a command in a place (`inet`, `router-a`, or a node such as `a1`) and returns what it wrote.
///
/// # Errors
/// When it fails; the error holds what it complained of.
pub fn execute(place: &str, command: &[&str]) -> anyhow::Result<String> {
    script::run(&[&["exec", place], command].concat())
}

/// Gives an address of the internet a name that every node and pod can look up.
///
/// # Errors
/// When the clusters do not run.
pub fn name_internet_host(name: &str, address: &str) -> anyhow::Result<()> {
    script::run(&["internet-host", name, address]).map(drop)
}
