//! Number of a page at the end of a path: `/items/page/2`.

use url::Url;

use super::fields::digits;
use super::{PageParam, has_other_uses, page_param};

/// Number behind a name of pages or offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::pagination) struct PathNumber {
    pub(in crate::pagination) param: PageParam,
    pub(in crate::pagination) value: u64,
    /// Segments before the name.
    pub(in crate::pagination) before: Vec<String>,
}

impl PathNumber {
    pub(in crate::pagination) fn of(url: &Url) -> Option<Self> {
        let mut before = segments(url);
        let (value, name) = (before.pop()?, before.pop()?);
        let param = page_param(&name).filter(|param| *param != PageParam::Size && !has_other_uses(&name))?;
        Some(Self { param, value: digits(&value)?, before })
    }
}

/// Segments of a path that are not empty.
pub(in crate::pagination) fn segments(url: &Url) -> Vec<String> {
    let segments = url.path_segments().into_iter().flatten();
    segments.filter(|segment| !segment.is_empty()).map(ToOwned::to_owned).collect()
}
