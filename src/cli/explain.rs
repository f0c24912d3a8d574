//! `unpage explain`: what a fetch of a URL would do, without a request.

use std::fmt::Write as _;
use std::io::Write as _;

use http::header::RANGE;
use url::Url;

use super::crawl_args::CrawlArguments;
use super::{Exit, logging};
use crate::config::optional_secrets::OptionalSecrets;
use crate::config::{ChosenBy, Collection, Credential, Credentials, Machine, SecretPlace, written};
use crate::crawl::{Crawl, Parents};
use crate::pagination::request::with_braces;
use crate::pagination::{End, PageRequest, PageSize, Pagination, Style};

const EXAMPLES: &str = "Examples:
  unpage explain https://api.github.com/repos/rust-lang/rust/issues
  unpage explain --config unpage.toml '/orders?status=open'";

#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub(super) struct ExplainArguments {
    #[command(flatten)]
    target: CrawlArguments,
}

pub(super) fn run(arguments: ExplainArguments) -> Exit {
    logging::init("warn");
    let explained = arguments
        .target
        .crawl_with(&OptionalSecrets::of(&Machine))
        .and_then(|(crawl, collection)| explain(&crawl, &collection));
    match explained {
        Ok(text) => match std::io::stdout().write_all(text.as_bytes()) {
            Ok(()) => Exit::Complete,
            Err(_) => Exit::Output,
        },
        Err(what) => {
            eprintln!("error: {what}");
            Exit::Usage
        }
    }
}

fn explain(crawl: &Crawl, collection: &Collection) -> Result<String, String> {
    let pagination = &*crawl.pagination;
    let first = first_request(pagination, &crawl.first)?;
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        writeln!(text, "{:<16}{value}", format!("{name}:")).expect("writing to a String never fails");
    };
    line("collection", &collection.path);
    line("upstream", collection.upstream.url.as_str());
    line(
        "preset",
        &collection.preset.map_or_else(
            || "none".to_owned(),
            |choice| match choice.by {
                ChosenBy::Key => choice.to_string(),
                ChosenBy::Host => format!("{choice}; --preset none recognises the pagination instead"),
            },
        ),
    );
    let mut own = format!("{} {}", first.method, redacted(&first.url, &crawl.first.url));
    if let Some(range) = first.headers.get(RANGE) {
        write!(own, ", Range: {}", range.to_str().unwrap_or_default()).expect("writing to a String never fails");
    }
    let generations = std::iter::successors(crawl.parents.as_deref(), |parents| parents.above.as_deref());
    let mut generations: Vec<_> = generations.collect();
    generations.reverse();
    let mut name = "first request";
    let mut filled = String::new();
    for Parents { pagination, first, link, .. } in generations {
        let first = first_request(pagination, first)?;
        line(name, &format!("{} {}{filled}", first.method, with_braces(first.url.as_str())));
        (name, filled) = ("then for each", format!("; {{{}}} is its `{}`", link.segment, link.key));
    }
    line(name, &format!("{own}{filled}"));
    line("credentials", &credentials(&collection.upstream.credentials));
    if let Some(windows) = &pagination.windows {
        let [from, to] = windows.params();
        line("windows", &format!("{from} to {to}, {} at most", humantime::Duration::from(windows.span)));
    }
    line("end proven by", &proof(pagination));
    line("requests", &requests(pagination, crawl));
    if let Some(settle) = pagination.settle {
        let time = humantime::Duration::from(settle);
        line("late records", &format!("the end is read a second time, once its last record is {time} old"));
    }
    line("verdict", &pagination.best_verdict().to_string());
    text.push('\n');
    text.push_str(&written(pagination));
    Ok(text)
}

/// Returns the request of the first page of a list.
fn first_request(pagination: &Pagination, list: &PageRequest) -> Result<PageRequest, String> {
    let size = pagination.page_size.as_ref().and_then(PageSize::asked);
    let sized = pagination.sized(list.clone()).map_err(|bad| bad.to_string())?;
    pagination.style.first_request(&sized, size).map_err(|bad| bad.to_string())
}

/// Describes the places of the credentials.
fn credentials(credentials: &Credentials) -> String {
    let places = credentials.of(0).iter().map(|credential| match (credential, credential.place()) {
        (Credential::Aws(_), _) => "a signature of AWS",
        (_, SecretPlace::Header(..)) => "in a header field",
        (_, SecretPlace::Query(_)) => "in a query parameter",
    });
    match &*places.collect::<Vec<_>>() {
        [] => "the client's own".to_owned(),
        places if credentials.are_pooled() => {
            format!("a pool of {}, {}", credentials.members.len(), places.join(" and "))
        }
        places => format!("configured, {}", places.join(" and ")),
    }
}

/// The URL of a request without the values of the client's own parameters, which can be secrets.
fn redacted(url: &Url, own: &Url) -> String {
    let mut text = with_braces(&url[..url::Position::AfterPath]);
    for (at, pair) in url.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()).enumerate() {
        let name = pair.split('=').next().unwrap_or_default();
        let is_own = own.query().unwrap_or_default().split('&').any(|own| own == pair);
        text.push(if at == 0 { '?' } else { '&' });
        text.push_str(if is_own { name } else { pair });
        text.push_str(if is_own { "=…" } else { "" });
    }
    text
}

/// Describes the signals that will prove the end.
fn proof(pagination: &Pagination) -> String {
    if pagination.style.is_auto() {
        return "the signals of what is recognised on the first page, and verified on the second".to_owned();
    }
    let mut signals = Vec::new();
    if let Some(more) = &pagination.more {
        signals.push(format!("the flag `{}`", more.path));
    }
    if let Some(total) = &pagination.total {
        signals.push(format!("the total at {total} that agrees"));
    }
    if let Some(pages) = &pagination.total_pages {
        signals.push(format!("the number of pages at {pages}"));
    }
    if matches!(pagination.style, Style::Range(_)) {
        signals.push("the total of Content-Range".to_owned());
    }
    let own = match &pagination.end {
        End::Style if pagination.style.is_pointed() => "a page without a next address",
        End::NoNext => "a page without a next address",
        End::Style if !pagination.style.is_computed() => "the only page",
        End::ShortPage => "a page that is shorter than its size",
        End::Style | End::EmptyPage => "a page without records behind the last",
        _ => "the configured status behind the last page",
    };
    signals.push(own.to_owned());
    signals.join(", or ")
}

/// Describes the number of requests.
fn requests(pagination: &Pagination, crawl: &Crawl) -> String {
    let width = crawl.width;
    let has_lists = crawl.has_lists();
    let asked = pagination.page_size.as_ref().and_then(PageSize::asked).or_else(|| pagination.style.own_size());
    let each = match asked {
        Some(size) => format!("one for each {size} records"),
        None => "one for each page of the upstream's own size".to_owned(),
    };
    let side_by_side = if has_lists {
        let lists = if pagination.is_verified() {
            "one list after the other".to_owned()
        } else {
            format!("up to {width} lists at a time")
        };
        let of = if crawl.parents.is_some() { "parent" } else { "window" };
        format!(" in the list of each {of}, {lists}")
    } else if pagination.style.is_numbered() || pagination.partition.is_some() {
        format!(", up to {width} at a time")
    } else {
        ", one after the other".to_owned()
    };
    // A range whose answer names the total ends with its last record.
    let is_confirmed = pagination.style.is_numbered() && !matches!(pagination.style, Style::Range(_));
    let last = match is_confirmed && pagination.more.is_none() {
        true => ", and one to confirm the end",
        false => "",
    };
    match pagination.style.is_auto() {
        true => format!("two to recognise the pagination, then {each}"),
        false if !pagination.style.is_pointed() && !pagination.style.is_computed() && has_lists => {
            format!("one{side_by_side}")
        }
        false if !pagination.style.is_pointed() && !pagination.style.is_computed() => "one".to_owned(),
        false => format!("{each}{side_by_side}{last}"),
    }
}
