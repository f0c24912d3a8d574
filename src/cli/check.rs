//! `unpage check FILE`.

use std::path::PathBuf;

use super::Exit;
use crate::config::Config;

#[derive(Debug, clap::Args)]
pub(super) struct CheckArguments {
    /// Configuration file
    file: PathBuf,
}

pub(super) fn run(arguments: &CheckArguments) -> Exit {
    match Config::load(&arguments.file) {
        Ok(config) => {
            let count = config.collections.len();
            let plural = if count == 1 { "" } else { "s" };
            eprintln!("{}: ok, {count} collection{plural}", arguments.file.display());
            for collection in &config.collections {
                eprintln!("{}: verdict: {}", collection.path, collection.pagination.best_verdict());
            }
            Exit::Complete
        }
        Err(mistakes) => {
            eprintln!("{mistakes}");
            Exit::Usage
        }
    }
}
