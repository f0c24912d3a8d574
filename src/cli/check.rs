//! `unpage check FILE`.

use std::path::PathBuf;

use http::Method;

use super::Exit;
use crate::config::{Collection, Config, Credentials};

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
                if let Some(choice) = &collection.preset {
                    eprintln!("{}: {choice}", collection.path);
                }
                eprintln!("{}: verdict: {}", collection.path, collection.pagination.best_verdict());
            }
            warnings(&config).iter().for_each(|warning| eprintln!("warning: {warning}"));
            Exit::Complete
        }
        Err(mistakes) => {
            eprintln!("{mistakes}");
            Exit::Usage
        }
    }
}

/// Requests that any client can have done as the operator, and identities that don't count.
fn warnings(config: &Config) -> Vec<String> {
    let of = |collection| [deputy(collection), ignored(collection)].concat();
    let mut warnings: Vec<String> = config.collections.iter().flat_map(|collection| of(collection)).collect();
    // Collections of one upstream share its rules.
    warnings.sort();
    warnings.dedup();
    warnings
}

fn deputy(Collection { path, method, upstream, .. }: &Collection) -> Vec<String> {
    if matches!(upstream.credentials, Credentials::Passed) {
        return Vec::new();
    }
    let named = upstream.passthrough.rules().map(|rule| {
        format!("passthrough: {rule} is sent to {} with the configured credentials for any client", upstream.url)
    });
    let any = (method == Method::POST && path.contains("{*"))
        .then(|| format!("{path}: any POST below it is sent with the configured credentials for any client"));
    named.chain(any).collect()
}

fn ignored(Collection { upstream, .. }: &Collection) -> Vec<String> {
    let ignored = upstream.fields.ignored_identities();
    ignored
        .map(|name| {
            format!("ignore_fields: callers of {} that differ in {name} alone get the same records", upstream.url)
        })
        .collect()
}
