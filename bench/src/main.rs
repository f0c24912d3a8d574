//! The command line of the bench.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde_json::json;
use unpage_bench::figure::{self, Figure};
use unpage_bench::{check, micro};

/// Measures unpage beside others, as ratios of one run
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    part: Part,
    /// Few rounds over little data: shows that it runs, and nothing more
    #[arg(long, global = true)]
    quick: bool,
    /// End with status 1 if a figure misses what it has to be by more than 15 %
    #[arg(long, global = true)]
    gate: bool,
    /// Where the results go as JSON
    #[arg(long, global = true, default_value = "target/bench")]
    out: PathBuf,
}

#[derive(Subcommand)]
enum Part {
    /// Every approach comes to the expected lines
    Check,
    /// The splitter and its rivals in one process
    Micro,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode, Box<dyn std::error::Error>> {
    match arguments.part {
        Part::Check => {
            println!("{}", check::run()?);
            Ok(ExitCode::SUCCESS)
        }
        Part::Micro => {
            check::run()?;
            let measured = micro::run(if arguments.quick { micro::Effort::QUICK } else { micro::Effort::FULL });
            measured.print();
            told(arguments, "micro", &measured.figures(), &measured.to_json())
        }
    }
}

/// Prints the figures, writes the file, and judges.
fn told(
    arguments: &Arguments,
    part: &str,
    figures: &[Figure],
    details: &serde_json::Value,
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    figure::print(figures);
    let file = Path::new(&arguments.out).join(format!("{part}.json"));
    std::fs::create_dir_all(&arguments.out)?;
    std::fs::write(&file, serde_json::to_vec_pretty(&json!({ "figures": figures, "details": details }))?)?;
    eprintln!("written: {}", file.display());
    let holds = !arguments.gate || figure::hold(figures);
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
