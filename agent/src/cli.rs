//! The command line: arguments in, an exit code out.

pub mod check;
pub mod keys;
pub mod run;
pub mod status;

use std::path::{Path, PathBuf};

use crate::environment;

/// The directory of the default configuration, below the home directory.
const DEFAULT_DIRECTORY: &str = ".wovenet";
/// Names of the default configuration, best first.
const DEFAULT_NAMES: [&str; 4] = ["config.yaml", "config.yml", "config.json", "config"];

/// Returns the configuration file that was named, or the default one.
///
/// # Errors
/// A text that says where a default one is looked for, when there is none.
pub fn configuration_file(named: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    if let Some(file) = named {
        return Ok(file);
    }
    default_file(Path::new(&std::env::var_os("HOME").unwrap_or_else(|| "/".into())))
}

/// Finds the default configuration file of whoever has this home directory.
fn default_file(home: &Path) -> anyhow::Result<PathBuf> {
    let directory = home.join(DEFAULT_DIRECTORY);
    let found = DEFAULT_NAMES.iter().map(|name| directory.join(name)).find(|file| file.is_file());
    found.ok_or_else(|| {
        anyhow::anyhow!(
            "no configuration: name one with --config FILE, or write {}",
            directory.join(DEFAULT_NAMES[0]).display()
        )
    })
}

/// Reads a configuration file, with the environment's overrides.
///
/// # Errors
/// The system's reason when it cannot be read; every problem, one a line, when it is wrong.
pub fn load_file(file: &Path) -> anyhow::Result<wovenet_config::Loaded> {
    let content = std::fs::read(file).map_err(|error| anyhow::anyhow!("cannot read {}: {error}", file.display()))?;
    wovenet_config::load(&file.display().to_string(), &content, &environment::variables())
        .map_err(|problems| anyhow::anyhow!(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")))
}
