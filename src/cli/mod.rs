//! Command line: a file or folder for each command.

mod check;
mod check_files;
mod completions;
mod crawl_args;
mod crawl_target;
mod demo;
mod exit_code;
mod explain;
mod failure_lines;
mod fetch;
mod health;
mod inherited_sockets;
mod init;
mod listeners;
mod logging;
mod manual;
mod notify;
mod presets;
mod probe;
mod progress_line;
mod reload;
mod serve;
mod serve_gateway;
mod stop_signals;
mod trace_export;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::runtime::Builder;

pub use exit_code::Exit;

/// Turns paginated HTTP APIs into streams.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run as a proxy: stream collections to clients that ask for NDJSON, and pass on all other requests
    Serve(serve::ServeArguments),
    /// Write every record of a paginated URL as NDJSON to stdout or a file
    Fetch(fetch::FetchArguments),
    /// Recognise the pagination of a URL, verify it on two pages, and print it as a configuration
    Probe(probe::ProbeArguments),
    /// Recognise the pagination of a URL, and write a commented configuration for it
    Init(init::InitArguments),
    /// Tell what a fetch would request and what will prove its end, without a request
    Explain(explain::ExplainArguments),
    /// List the presets of APIs, or show one
    Presets(presets::PresetsArguments),
    /// Print every mistake in a configuration file
    Check(check::CheckArguments),
    /// Show the main job on an embedded legacy API
    Demo(demo::DemoArguments),
    /// Exit with 0 if a server is ready, else with 1: a probe for containers
    Health(health::HealthArguments),
    /// Print the script that completes commands and options in a shell
    Completions(completions::CompletionsArguments),
    /// Write the manual pages
    Man(manual::ManualArguments),
}

/// Runs the command that the arguments name.
pub fn run() -> ExitCode {
    let arguments = CommandLine::parse();
    let mut runtime = match arguments.command {
        // An API, a proxy and clients in one process.
        Command::Demo(_) => Builder::new_multi_thread(),
        _ => Builder::new_current_thread(),
    };
    let runtime = match runtime.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the runtime can't be started: {error}");
            return Exit::Output.into();
        }
    };
    let exit = match arguments.command {
        Command::Serve(arguments) => runtime.block_on(serve::run(arguments)),
        Command::Fetch(arguments) => runtime.block_on(fetch::run(arguments)),
        Command::Probe(arguments) => runtime.block_on(probe::run(arguments)),
        Command::Init(arguments) => runtime.block_on(init::run(arguments)),
        Command::Explain(arguments) => explain::run(arguments),
        Command::Presets(arguments) => presets::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Demo(arguments) => runtime.block_on(demo::run(arguments)),
        Command::Health(arguments) => runtime.block_on(health::run(arguments)),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Man(arguments) => manual::run(&arguments),
    };
    runtime.shutdown_background();
    exit.into()
}
