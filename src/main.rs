//! The command line of unpage.

use std::process::ExitCode;

fn main() -> ExitCode {
    unpage::cli::run()
}
