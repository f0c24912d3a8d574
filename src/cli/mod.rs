//! Arguments to one of: serve, fetch, probe, check, demo.

mod cache;
mod check;
mod demo;
mod exit;
mod fetch;
mod logging;
mod probe;
mod progress;
mod serve;
mod target;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use exit::Exit;

/// Turns paginated HTTP APIs into streams.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Stand in front of APIs: stream their collections to whoever asks for NDJSON, and pass on everything else
    Serve(serve::Arguments),
    /// Write every record of a paginated URL as NDJSON to stdout or a file
    Fetch(fetch::Arguments),
    /// Recognise how a URL is paginated, verify it, and print it as a configuration
    Probe(probe::Arguments),
    /// Say everything that is wrong with a configuration file
    Check(check::Arguments),
    /// Show the main job on an embedded legacy API
    Demo(demo::DemoArguments),
}

/// Runs what the arguments say.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Runtime::new() {
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
        Command::Check(arguments) => check::run(&arguments),
        Command::Demo(arguments) => runtime.block_on(demo::run(arguments)),
    };
    runtime.shutdown_background();
    exit.into()
}
