//! stub
#[derive(clap::Args)]
pub struct StatusArguments {}
pub async fn run(_a: StatusArguments, _c: Option<std::path::PathBuf>) -> anyhow::Result<()> { Ok(()) }
