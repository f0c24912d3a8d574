//! `unpage man DIR`.

use std::fs;
use std::path::PathBuf;

use clap::CommandFactory;

use super::{CommandLine, Exit};

const EXAMPLES: &str = "Examples:
  unpage man ~/.local/share/man/man1 && man unpage-fetch";

#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub(super) struct ManualArguments {
    /// Folder for unpage.1 and a page for each command; made if it is absent
    dir: PathBuf,
}

pub(super) fn run(arguments: &ManualArguments) -> Exit {
    let dir = &arguments.dir;
    match fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(CommandLine::command(), dir)) {
        Ok(()) => Exit::Complete,
        Err(error) => {
            eprintln!(
                "error: the manual can't be written to {}: {error}\nhint: name a folder that you may write to",
                dir.display()
            );
            Exit::Output
        }
    }
}
