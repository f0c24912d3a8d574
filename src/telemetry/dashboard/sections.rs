//! Sections of the page as HTML: figures, and a table for each kind of rows.

use std::collections::BTreeMap;

use bytesize::ByteSize;

use super::Figures;
use super::markup::{Markup, ago, count, duration};
use super::rows::{CollectionRow, CrawlRow, FailureRow, PaginationSource, SnapshotRow, UpstreamHealth, UpstreamRow};
use super::sparkline::sparkline;
use super::table::{Row, TableColumns, table};
use crate::config::AdminActions;

/// Rows of all tables at one time.
pub(super) struct Tables {
    pub(super) figures: Figures,
    pub(super) crawls: Vec<CrawlRow>,
    pub(super) upstreams: Vec<UpstreamRow>,
    pub(super) snapshots: Vec<SnapshotRow>,
    pub(super) failures: Vec<FailureRow>,
    pub(super) collections: Vec<CollectionRow>,
    /// Command that asks for the first collection's stream.
    pub(super) first_stream: Option<String>,
    pub(super) actions: AdminActions,
    pub(super) log_level: String,
}

/// HTML of each section.
#[derive(Clone, Debug, Default)]
pub(super) struct Sections {
    html: [String; Self::NAMES.len()],
}

impl Sections {
    /// Names, as the comments of the page have them.
    pub(super) const NAMES: [&'static str; 7] =
        ["figures", "crawls", "upstreams", "snapshots", "failures", "collections", "log"];

    pub(super) fn new(tables: &Tables) -> Self {
        let actions = tables.actions;
        let html = [
            figures(&tables.figures),
            table(&tables.crawls, CRAWLS, &no_crawls(tables), |row, html| crawl(row, actions, html)),
            table(&tables.upstreams, UPSTREAMS, "<p>No upstream has been asked since the start.</p>", upstream),
            table(&tables.snapshots, SNAPSHOTS, NO_SNAPSHOTS, |row, html| snapshot(row, actions, html)),
            table(&tables.failures, FAILURES, "<p class=\"good\">No crawl has failed since the start.</p>", failure),
            table(&tables.collections, COLLECTIONS, "", collection),
            if actions == AdminActions::Allowed { log(&tables.log_level) } else { String::new() },
        ];
        Self { html }
    }

    /// Returns the HTML of a section; empty for an unknown name.
    pub(super) fn named(&self, name: &str) -> &str {
        Self::NAMES.iter().position(|own| *own == name).map_or("", |at| &self.html[at])
    }

    /// Returns the sections that differ from those before, by their names.
    pub(super) fn changed_since(&self, before: &Self) -> BTreeMap<&'static str, &str> {
        let both = Self::NAMES.into_iter().zip(self.html.iter().zip(&before.html));
        both.filter(|(_, (now, before))| now != before).map(|(name, (now, _))| (name, now.as_str())).collect()
    }
}

const CRAWLS: TableColumns =
    &["Collection", "Records", "#Records/s", "#Time left", "#Pages", "#Readers", "Verdict so far", ""];
const UPSTREAMS: TableColumns =
    &["Upstream", "#In flight", "#Waiting", "#Requests", "#Refusals, 5 min", "Budget", "Last error"];
const SNAPSHOTS: TableColumns = &["Collection", "State", "#Records", "#Size", "#Readers", "#Age", ""];
const FAILURES: TableColumns = &["When", "Collection", "Fault", "What happened, and what to do"];
const COLLECTIONS: TableColumns = &["Path", "Upstream", "Pagination"];

const NO_SNAPSHOTS: &str = "<p>No snapshot is kept. A stream leaves one for the time of <code>keep_for</code>, unless the upstream says <code>no-store</code>.</p>";

fn no_crawls(tables: &Tables) -> String {
    let mut html = Markup::default();
    html.raw("<p>No crawl is under way. A request for a stream begins one:</p><pre tabindex=\"0\">");
    html.text(tables.first_stream.as_deref().unwrap_or_default()).raw("</pre>");
    html.into_html()
}

fn figures(figures: &Figures) -> String {
    let mut html = Markup::default();
    html.raw("<div class=\"rate\"><p><b>").text(count(figures.records_per_second)).raw("</b> records/s</p>");
    sparkline(&figures.rates, &mut html);
    html.raw("</div><dl>");
    let waiting = if figures.waiting > 0 { format!(" + {} waiting", count(figures.waiting)) } else { String::new() };
    let facts = [
        ("Crawls", format!("{}{waiting}", count(figures.crawls))),
        ("Connections", count(figures.connections as u64)),
        ("Records", count(figures.records)),
        ("Complete", count(figures.complete)),
        ("Failed", count(figures.broken)),
        ("Cancelled", count(figures.cancelled)),
    ];
    for (name, value) in facts {
        html.raw("<div><dt>").raw(name).raw("</dt><dd>").text(value).raw("</dd></div>");
    }
    html.raw("</dl>");
    html.into_html()
}

fn crawl(row: &CrawlRow, actions: AdminActions, html: &mut Row<'_>) {
    html.begin(row.number);
    html.cell(|html| {
        address(&row.collection, Some(&row.address), html);
        if let Some(waits) = &row.waits {
            html.raw("<small class=\"warn\">waits ").text(waits).raw("</small>");
        }
    });
    html.cell(|html| {
        html.text(count(row.records));
        if let Some(total) = row.total {
            html.raw("<small> of ").text(count(total)).raw("</small><progress aria-label=\"Records\" max=\"");
            html.text(total.max(1)).raw("\" value=\"").text(row.records.min(total)).raw("\"></progress>");
        }
    });
    html.text(count(row.records_per_second.round() as u64));
    html.text(row.seconds_left.map_or("–".to_owned(), duration));
    html.text(count(row.pages));
    html.text(count(row.readers as u64));
    html.text(row.consistency_at_best.map_or("–".to_owned(), |word| format!("at best {word}")));
    html.cell(|html| {
        command(row.curl.as_deref(), html);
        if actions == AdminActions::Allowed {
            html.raw("<form method=\"post\" action=\"/crawls/").text(row.number).raw("/cancel\" data-of=\"crawl ");
            html.text(row.number).raw(", ").text(&row.address).raw("\"><button>Cancel</button></form>");
        }
    });
}

fn upstream(row: &UpstreamRow, html: &mut Row<'_>) {
    let (class, health) = match row.health {
        UpstreamHealth::Good => ("good", "good"),
        UpstreamHealth::Troubled => ("bad", "troubled"),
        UpstreamHealth::Held => ("warn", "held"),
    };
    html.begin(&row.origin);
    html.cell(|html| {
        html.raw("<i class=\"").raw(class).raw("\" title=\"").raw(health).raw("\"></i>");
        html.raw("<bdi>").text(&row.origin).raw("</bdi>");
        if let Some(reason) = &row.held_because {
            html.raw("<small class=\"warn\">held for ").text(duration(row.held_seconds));
            html.raw(": ").text(reason).raw("</small>");
        }
    });
    html.cell(|html| {
        html.text(row.in_flight).raw("<small> of ").text(row.limit).raw("</small>");
    });
    html.text(count(row.waiting as u64));
    html.cell(|html| {
        html.text(count(row.requests));
        if let Some(rate) = row.most_per_second {
            html.raw("<small> ≤ ").text(format!("{rate:.1}")).raw("/s</small>");
        }
    });
    html.cell(|html| {
        let class = if row.refusals > 0 { "<span class=\"bad\">" } else { "<span>" };
        html.raw(class).text(count(row.refusals)).raw("</span>");
    });
    html.cell(|html| match row.budget {
        Some(budget) => {
            html.text(count(budget.remaining)).raw("<small> of ").text(count(budget.limit)).raw(", renewed in ");
            html.text(duration(budget.reset_seconds)).raw("</small>");
        }
        None => {
            html.raw("–");
        }
    });
    html.cell(|html| match (&row.last_error, row.last_error_age_seconds) {
        (Some(error), Some(age)) => {
            html.raw("<bdi>").text(error).raw("</bdi><small>").text(ago(age)).raw("</small>");
        }
        _ => {
            html.raw("–");
        }
    });
}

fn snapshot(row: &SnapshotRow, actions: AdminActions, html: &mut Row<'_>) {
    html.begin(row.id);
    html.cell(|html| address(&row.collection, row.address.as_deref(), html));
    html.cell(|html| {
        let class = match row.state {
            "complete" => "good",
            "broken" => "bad",
            "stopped" => "warn",
            _ => "",
        };
        html.raw("<b class=\"").raw(class).raw("\">").raw(row.state).raw("</b>");
        if let Some(word) = row.consistency {
            html.raw(", ").raw(word);
        }
        if let Some(end) = &row.end {
            html.raw("<small><bdi>").text(end).raw("</bdi></small>");
        }
    });
    html.text(count(row.records));
    html.cell(|html| {
        html.text(ByteSize(row.bytes).display().iec()).raw("<small> ").raw(row.tier).raw("</small>");
    });
    html.text(count(row.readers as u64));
    html.cell(|html| {
        html.text(ago(row.age_seconds));
        if let Some(left) = row.expires_in_seconds {
            html.raw("<small class=\"below\">kept for ").text(duration(left - left % 60 + 60)).raw("</small>");
        }
    });
    html.cell(|html| {
        command(row.curl.as_deref(), html);
        if actions == AdminActions::Allowed && row.state != "running" {
            html.raw("<form method=\"post\" action=\"/snapshots/").text(row.id).raw("/drop\" data-of=\"snapshot ");
            html.text(row.id).raw(", ").text(row.address.as_ref().unwrap_or(&row.collection));
            html.raw("\"><button>Drop</button></form>");
        }
    });
}

fn failure(row: &FailureRow, html: &mut Row<'_>) {
    html.begin("");
    html.cell(|html| {
        html.text(ago(row.age_seconds));
        if row.count > 1 {
            html.raw("<small>").text(count(row.count)).raw(" times</small>");
        }
    });
    html.cell(|html| address(&row.collection, Some(&row.address), html));
    html.cell(|html| {
        html.raw("<b class=\"bad\">").raw(row.fault).raw("</b>");
    });
    html.cell(|html| {
        html.raw("<bdi>").text(&row.message).raw("</bdi><small><bdi>").text(&row.hint).raw("</bdi></small>");
        if row.records > 0 {
            html.raw("<small>after ").text(count(row.records)).raw(" records</small>");
        }
    });
}

fn collection(row: &CollectionRow, html: &mut Row<'_>) {
    html.begin(&row.path);
    html.cell(|html| {
        html.raw("<code>").text(&row.path).raw("</code>");
    });
    html.cell(|html| {
        html.raw("<bdi>").text(&row.upstream).raw("</bdi>");
    });
    html.cell(|html| {
        html.raw("<details><summary>");
        match (row.source, row.preset) {
            (PaginationSource::Recognised, _) => html.raw("recognised"),
            (PaginationSource::Unknown, _) => html.raw("auto, not recognised yet"),
            (_, Some(preset)) => html.raw("preset ").text(preset),
            (_, None) => html.raw("configured"),
        };
        html.raw("</summary><pre tabindex=\"0\" data-copy>").text(&row.toml).raw("</pre></details>");
    });
}

/// Returns the level of the log, and a button for each other one.
fn log(level: &str) -> String {
    let mut html = Markup::default();
    html.raw("<form method=\"post\">Level of the log: <b><bdi>").text(level).raw("</bdi></b>");
    for other in ["error", "warn", "info", "debug", "trace"].into_iter().filter(|other| *other != level) {
        html.raw(" <button formaction=\"/log-level?level=").raw(other).raw("\">").raw(other).raw("</button>");
    }
    html.raw("</form>");
    html.into_html()
}

/// Writes the path of a collection, and the address of a request if it says more.
fn address(collection: &str, address: Option<&str>, html: &mut Markup) {
    html.raw("<b><bdi>").text(collection).raw("</bdi></b>");
    if let Some(address) = address.filter(|address| *address != collection) {
        html.raw("<small><bdi>").text(address).raw("</bdi></small>");
    }
}

/// Writes a command that can be copied, with a script by one click.
fn command(command: Option<&str>, html: &mut Markup) {
    if let Some(command) = command {
        html.raw("<details class=\"curl\"><summary>curl</summary><pre tabindex=\"0\" data-copy>").text(command);
        html.raw("</pre></details>");
    }
}
