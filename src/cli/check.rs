//! `unpage check FILE`.

use std::path::PathBuf;

use http::Method;

use super::Exit;
use super::check_files::{self, FileFlaw};
use super::reload::list;
use crate::config::optional_secrets::OptionalSecrets;
use crate::config::{
    AdminActions, AwsKeys, Collection, Config, ConfigDifference, Credential, Grant, Machine, TokenSettings, Upstream,
};

const EXAMPLES: &str = "Examples:
  unpage check unpage.toml
  unpage check unpage.toml && unpage serve unpage.toml
  unpage check new.toml --diff unpage.toml";

#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES, group(clap::ArgGroup::new("source").required(true).args(["file", "config"])))]
pub(super) struct CheckArguments {
    /// Configuration file. Its secrets and certificates need not be there
    file: Option<PathBuf>,
    /// The same
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Configuration file that a server runs with: says what a reload of the other one would change
    #[arg(long, value_name = "FILE")]
    diff: Option<PathBuf>,
}

pub(super) fn run(arguments: &CheckArguments) -> Exit {
    let Some(file) = arguments.file.as_ref().or(arguments.config.as_ref()) else { return Exit::Usage };
    let secrets = OptionalSecrets::of(&Machine);
    match Config::load_with(file, &secrets) {
        Ok(config) => {
            let (mut absent, mut is_wrong) = (secrets.absent(), false);
            for flaw in check_files::flaws(&config) {
                match flaw {
                    FileFlaw::Absent(what) => absent.push(what),
                    FileFlaw::Wrong { what, hint } => {
                        is_wrong = true;
                        eprintln!("{}: {what}\n    hint: {hint}", file.display());
                    }
                }
            }
            if is_wrong {
                return Exit::Usage;
            }
            let count = config.collections.len();
            let plural = if count == 1 { "" } else { "s" };
            eprintln!("{}: ok, {count} collection{plural}", file.display());
            for collection in &config.collections {
                if let Some(choice) = &collection.preset {
                    eprintln!("{}: {choice}", collection.path);
                }
                if let Some(parent) = &collection.parent {
                    eprintln!("{}: children of {}, by their {}", collection.path, parent.collection, parent.key);
                }
                eprintln!("{}: verdict: {}", collection.path, collection.pagination.best_verdict());
            }
            if let Some(running) = &arguments.diff {
                match Config::load_with(running, &OptionalSecrets::of(&Machine)) {
                    Ok(running) => tell_difference(&running.difference(&config)),
                    Err(mistakes) => {
                        eprintln!("{mistakes}");
                        return Exit::Usage;
                    }
                }
            }
            absent.iter().chain(&warnings(&config)).for_each(|warning| eprintln!("warning: {warning}"));
            Exit::Complete
        }
        Err(mistakes) => {
            eprintln!("{mistakes}");
            Exit::Usage
        }
    }
}

fn tell_difference(ConfigDifference { fixed, added, removed, changed }: &ConfigDifference) {
    let lists = [("added", added), ("removed", removed), ("changed", changed)];
    lists.iter().for_each(|(word, paths)| eprintln!("reload: collections {word}: {}", list(paths)));
    if !fixed.is_empty() {
        eprintln!("reload: refused, since keys that need a restart differ: {}", fixed.join(", "));
    }
}

/// Requests that any client can have done as the operator, identities that don't count, and keys without effect.
fn warnings(config: &Config) -> Vec<String> {
    let of = |collection: &Collection| {
        let tokens = collection.upstream.credentials.tokens().flat_map(token).collect();
        let upstream = &collection.upstream;
        [deputy(collection), ignored(collection), tokens, pool(upstream), other_region(upstream)].concat()
    };
    let idle = (config.admin.is_none() && config.admin_actions == AdminActions::Allowed)
        .then(|| "admin_actions: without an address there are no actions: set `admin`".to_owned());
    let mut warnings: Vec<String> =
        config.collections.iter().flat_map(|collection| of(collection)).chain(idle).collect();
    // Collections of one upstream share its rules.
    warnings.sort();
    warnings.dedup();
    warnings
}

/// Tokens that end with the process, and secrets that anyone on the way can read.
fn token(settings: &TokenSettings) -> Vec<String> {
    let endpoint = settings.endpoint();
    let is_lost = matches!(settings.grant, Grant::RefreshToken { keep: None, .. });
    let lost = is_lost.then(|| {
        format!(
            "credentials.token: a refresh token that {endpoint} replaces is lost at a restart: set `keep` to a file"
        )
    });
    let is_local = settings.url.host_str().is_some_and(|host| matches!(host, "localhost" | "127.0.0.1" | "[::1]"));
    let is_clear = settings.url.scheme() == "http" && !is_local;
    let clear = is_clear.then(|| format!("credentials.token: secrets go to {endpoint} in the clear: write https://"));
    lost.into_iter().chain(clear).collect()
}

/// Several credentials in place of one, which an API may forbid.
fn pool(upstream: &Upstream) -> Vec<String> {
    let members = upstream.credentials.members.len();
    let pooled = upstream.credentials.are_pooled().then(|| {
        format!(
            "credentials.pool: {members} members share the requests to {}: see that its terms allow that",
            upstream.url
        )
    });
    let texts = upstream.credentials.members.iter().map(|member| member.iter().map(Credential::identity).collect());
    let texts: Vec<Vec<_>> = texts.collect();
    let same = |at: usize| Some((texts[..at].iter().position(|text| *text == texts[at])?, at));
    let twice =
        (0..texts.len()).filter_map(same).find(|(at, _)| texts[*at].iter().all(|text| text != OptionalSecrets::ABSENT));
    let twice = twice.map(|(one, other)| {
        format!("credentials.pool[{one}] and credentials.pool[{other}] have one secret: its budget is asked for twice")
    });
    pooled.into_iter().chain(twice).collect()
}

/// Signatures for another region than that of the upstream, which refuses them.
fn other_region(upstream: &Upstream) -> Vec<String> {
    let of = |keys: &AwsKeys| {
        let (region, other) = (&keys.region, keys.other_region(&upstream.url)?);
        Some(format!("credentials.aws.region: {} is in {other}, and requests are signed for {region}", upstream.url))
    };
    upstream.credentials.aws_keys().filter_map(of).collect()
}

fn deputy(Collection { path, method, upstream, .. }: &Collection) -> Vec<String> {
    if upstream.credentials.are_passed() {
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
