//! `unpage probe`: what `auto` finds, as a configuration.

use std::io::Write;

use super::crawl_args::CrawlArguments;
use super::failure_lines::tell;
use super::{Exit, logging};
use crate::config::{Mistake, mistakes_in, written};
use crate::error::{Failure, Fault};

const EXAMPLES: &str = "Examples:
  unpage probe 'https://api.example.com/orders?limit=100'
  unpage probe 127.0.0.1:9000/orders -H @headers.txt";

#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub(super) struct ProbeArguments {
    #[command(flatten)]
    target: CrawlArguments,
}

pub(super) async fn run(arguments: ProbeArguments) -> Exit {
    logging::init("warn");
    let crawl = match arguments.target.crawl() {
        Ok((crawl, _)) => crawl,
        Err(what) => {
            eprintln!("error: {what}");
            return Exit::Usage;
        }
    };
    match crawl.open().await {
        Ok(opened) => {
            let lines = written(opened.pagination());
            let mistakes = mistakes_in(&lines);
            if !mistakes.is_empty() {
                mistakes.into_iter().for_each(|Mistake { what, hint, .. }| {
                    let message = format!(
                        "{} was recognised, with which the options don't fit: {what}",
                        opened.pagination().style.name()
                    );
                    tell::<ProbeArguments>(&Failure::new(Fault::Configuration, message, hint));
                });
                return Exit::Usage;
            }
            eprintln!("verdict: {}", opened.pagination().best_verdict());
            match writeln!(std::io::stdout(), "{}", lines.trim_end()) {
                Ok(()) => Exit::Complete,
                Err(_) => Exit::Output,
            }
        }
        Err(failure) => {
            tell::<ProbeArguments>(&failure);
            Exit::not_opened(&failure)
        }
    }
}
