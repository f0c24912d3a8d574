//! Number of a page at the end of a path: `/items/page/2`.

use url::Url;

use super::page_members::digits;
use super::{PageParam, has_other_uses, page_param};

/// Number behind a name of pages or offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::pagination) struct PathNumber {
    pub(in crate::pagination) param: PageParam,
    pub(in crate::pagination) value: u64,
    pub(in crate::pagination) before: Vec<String>,
}

impl PathNumber {
    pub(in crate::pagination) fn of(url: &Url) -> Option<Self> {
        Self::behind(segments(url))
    }

    /// Number in a link that stands in an answer; that of a relative one that has no path is the base's own, and tells nothing.
    pub(super) fn of_link(link: &str) -> Option<Self> {
        let path = link.split(['?', '#']).next().unwrap_or_default();
        Self::behind(path.split('/').filter(|segment| !segment.is_empty()).map(ToOwned::to_owned).collect())
    }

    fn behind(mut before: Vec<String>) -> Option<Self> {
        let (value, name) = (before.pop()?, before.pop()?);
        let param = page_param(&name).filter(|param| *param != PageParam::Size && !has_other_uses(&name))?;
        Some(Self { param, value: digits(&value)?, before })
    }
}

pub(in crate::pagination) fn segments(url: &Url) -> Vec<String> {
    let segments = url.path_segments().into_iter().flatten();
    segments.filter(|segment| !segment.is_empty()).map(ToOwned::to_owned).collect()
}
