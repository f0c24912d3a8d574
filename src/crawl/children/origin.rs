//! Origin of the lists of one stream: the parents that lead to them, or windows over a range of time.

use std::sync::Arc;
use std::time::SystemTime;

use http::StatusCode;

use super::Parents;
use super::lists::Lists;
use crate::batch::Batch;
use crate::crawl::{Crawl, failure_report};
use crate::error::{Failure, Fault};
use crate::pagination::children::{AddedMembers, Lineage};
use crate::pagination::request::RedactedUrl;
use crate::pagination::windows::{SEGMENT, WindowFilter, WindowSeries};

#[derive(Debug)]
pub(super) enum ListOrigin {
    Parents(Arc<Parents>),
    Windows(Arc<WindowSeries>),
}

/// Change to the records of one list.
#[derive(Debug)]
pub(super) enum RecordRule {
    Unchanged,
    Members(AddedMembers),
    /// Records of other windows are left out.
    Window(WindowFilter),
}

impl ListOrigin {
    /// The origin of a crawl's lists; `began` is the time at which the crawl was begun.
    pub(super) fn of(crawl: &mut Crawl, began: SystemTime) -> Result<Self, Failure> {
        let windows = crawl.pagination.windows.as_ref().map(|windows| windows.series(&crawl.first, began));
        match (crawl.parents.take(), windows) {
            (Some(_), Some(_)) => Err(super::unusable("the lists of all parents are not read in windows")),
            (Some(parents), None) => Ok(Self::Parents(parents)),
            (None, Some(Ok(series))) => Ok(Self::Windows(Arc::new(series))),
            (None, Some(Err(bad))) if bad.is_configured() => {
                let hint = "correct `windows.lower`, or the clock of this machine";
                Err(Failure::new(Fault::Configuration, bad.to_string(), hint))
            }
            (None, Some(Err(bad))) => {
                let hint = "give each bound once, the earlier one first, as `windows.kind` says; or leave them out";
                Err(Failure::new(Fault::RefusedClient(StatusCode::BAD_REQUEST), bad.to_string(), hint))
            }
            (None, None) => Err(super::unusable("it has no lists")),
        }
    }

    pub(super) fn lists(&self, crawl: &Crawl) -> Lists {
        match self {
            Self::Parents(parents) => Lists::new(crawl, Some(parents)),
            Self::Windows(series) => Lists::of_windows(crawl, series),
        }
    }

    /// Names of the keys of a lineage, from the outermost.
    pub(super) fn segments(&self) -> Vec<Arc<str>> {
        match self {
            Self::Parents(parents) => {
                let generations = std::iter::successors(Some(&**parents), |parents| parents.above.as_deref());
                let mut segments: Vec<_> = generations.map(|parents| Arc::clone(&parents.link.segment)).collect();
                segments.reverse();
                segments
            }
            Self::Windows(_) => vec![Arc::from(SEGMENT)],
        }
    }

    /// Change to the records of this list.
    pub(super) fn rule(&self, lineage: &Lineage) -> RecordRule {
        match self {
            Self::Parents(parents) => parents.members(lineage).map_or(RecordRule::Unchanged, RecordRule::Members),
            Self::Windows(series) => {
                series.window_of(lineage).map_or(RecordRule::Unchanged, |it| RecordRule::Window(series.filter(it)))
            }
        }
    }
}

impl RecordRule {
    pub(super) fn apply(&self, batch: Batch, lineage: &Lineage, crawl: &Crawl) -> Result<Batch, Failure> {
        let url = &crawl.first.url;
        match self {
            Self::Unchanged => Ok(batch),
            Self::Members(members) => members.add(&batch).map_err(|what| {
                let message = format!("children of {lineage}: {}: {what}", RedactedUrl(url));
                let hint = "give the member in `parent.with` another name, or leave it out";
                Failure::new(Fault::Configuration, message, hint)
            }),
            Self::Window(filter) => filter.pass(batch).map_err(|error| {
                let failure = failure_report::wrong_page(&crawl.client, &error, url);
                Failure { message: format!("{lineage}: {}", failure.message), ..failure }
            }),
        }
    }
}

impl Parents {
    /// Members that the records of a list get; none where `with` asks for none.
    fn members(&self, lineage: &Lineage) -> Option<AddedMembers> {
        let json = |segment: &str| {
            let own = lineage.ancestors().iter().find(|ancestor| &*ancestor.segment == segment);
            let named = || self.named.iter().find(|(name, _)| name == segment).map(|(_, json)| json.as_str());
            own.map(|ancestor| ancestor.key.json()).or_else(named)
        };
        let members = self.link.with.iter().filter_map(|(member, segment)| Some((member.as_str(), json(segment)?)));
        let members: Vec<_> = members.collect();
        (!members.is_empty()).then(|| AddedMembers::new(members))
    }
}
