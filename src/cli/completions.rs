//! `unpage completions SHELL`.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::Shell;

use super::{CommandLine, Exit};

const EXAMPLES: &str = "Examples:
  unpage completions bash > ~/.local/share/bash-completion/completions/unpage
  unpage completions zsh > ~/.zfunc/_unpage
  unpage completions fish > ~/.config/fish/completions/unpage.fish";

#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub(super) struct CompletionsArguments {
    /// Shell that reads the script
    shell: Shell,
}

pub(super) fn run(arguments: &CompletionsArguments) -> Exit {
    // Written at once: the generator panics where a pipe is closed.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut CommandLine::command(), "unpage", &mut script);
    match io::stdout().write_all(&script) {
        Ok(()) => Exit::Complete,
        Err(_) => Exit::Output,
    }
}
