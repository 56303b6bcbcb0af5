//! `wovenet-agent check FILE`: every error and warning of a configuration, by line.

use std::path::Path;

use crate::cli::load_file;

/// Checks a file and prints what was found.
///
/// # Errors
/// All problems, one a line, when at least one is an error.
pub fn check(file: &Path, out: &mut impl std::io::Write) -> anyhow::Result<()> {
    let loaded = load_file(file)?;
    for warning in &loaded.warnings {
        writeln!(out, "{warning}")?;
    }
    let (config, count) = (&loaded.config, loaded.warnings.len());
    writeln!(
        out,
        "{}: site {} is fine ({} tunnel sockets, {} exposed apps, {} remote apps, {count} warnings)",
        file.display(),
        config.site_name,
        config.tunnel.local_sockets.len(),
        config.exposed_apps.len(),
        config.remote_apps.len(),
    )?;
    Ok(())
}
