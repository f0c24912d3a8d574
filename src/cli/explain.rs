//! `unpage explain`: what a fetch of a URL would do, without a request.

use std::fmt::Write as _;
use std::io::Write as _;

use url::Url;

use super::crawl_args::CrawlArguments;
use super::{Exit, logging};
use crate::config::{ChosenBy, Collection, Credentials, written};
use crate::crawl::Crawl;
use crate::pagination::{End, PageSize, Pagination};

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
    let explained = arguments.target.crawl().and_then(|(crawl, collection)| explain(&crawl, &collection));
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
    let first = pagination.sized(crawl.first.clone()).map_err(|bad| bad.to_string())?;
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
    line("first request", &format!("{} {}", first.method, redacted(&first.url, &crawl.first.url)));
    for parents in std::iter::successors(crawl.parents.as_deref(), |parents| parents.above.as_deref()) {
        let (key, segment) = (&parents.link.key, &parents.link.segment);
        let first = parents.pagination.sized(parents.first.clone()).map_err(|bad| bad.to_string())?;
        line("for each of", &format!("{} {}, whose `{key}` is {{{segment}}}", first.method, first.url));
    }
    line(
        "credentials",
        match &collection.upstream.credentials {
            Credentials::Passed => "the client's own",
            Credentials::Header(..) => "configured, in a header field",
            Credentials::Query(..) => "configured, in a query parameter",
        },
    );
    line("end proven by", &proof(pagination));
    line("requests", &requests(pagination, crawl.width));
    line("verdict", &pagination.best_verdict().to_string());
    text.push('\n');
    text.push_str(&written(pagination));
    Ok(text)
}

/// The URL of a request without the values of the client's own parameters, which can be secrets.
fn redacted(url: &Url, own: &Url) -> String {
    let mut text = url[..url::Position::AfterPath].to_owned();
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
fn requests(pagination: &Pagination, width: usize) -> String {
    let asked = pagination.page_size.as_ref().and_then(PageSize::asked).or_else(|| pagination.style.own_size());
    let each = match asked {
        Some(size) => format!("one for each {size} records"),
        None => "one for each page of the upstream's own size".to_owned(),
    };
    let side_by_side = if pagination.style.is_numbered() || pagination.partition.is_some() {
        format!(", up to {width} at a time")
    } else {
        ", one after the other".to_owned()
    };
    let last = match pagination.style.is_computed() && pagination.more.is_none() && pagination.style.is_numbered() {
        true => ", and one to confirm the end",
        false => "",
    };
    match pagination.style.is_auto() {
        true => format!("two to recognise the pagination, then {each}"),
        false if !pagination.style.is_pointed() && !pagination.style.is_computed() => "one".to_owned(),
        false => format!("{each}{side_by_side}{last}"),
    }
}
