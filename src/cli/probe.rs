//! `unpage probe`: what `auto` finds, as a configuration.

use std::io::Write;

use super::crawl_args::CrawlArguments;
use super::failure_lines::tell;
use super::{Exit, logging};
use crate::config::written;

#[derive(Debug, clap::Args)]
pub(super) struct ProbeArguments {
    #[command(flatten)]
    target: CrawlArguments,
}

pub(super) async fn run(arguments: ProbeArguments) -> Exit {
    logging::init("warn");
    let crawl = match arguments.target.crawl() {
        Ok(crawl) => crawl,
        Err(what) => {
            eprintln!("error: {what}");
            return Exit::Usage;
        }
    };
    match crawl.open().await {
        Ok(opened) => {
            eprintln!("verdict: {}", opened.pagination().best_verdict());
            match writeln!(std::io::stdout(), "{}", written(opened.pagination()).trim_end()) {
                Ok(()) => Exit::Complete,
                Err(_) => Exit::Output,
            }
        }
        Err(failure) => {
            tell(&failure);
            Exit::not_opened(&failure)
        }
    }
}
