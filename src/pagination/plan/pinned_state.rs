//! State of the collection that all pages are asked for in: the version and the condition that each request carries.

use std::sync::{Arc, OnceLock};

use http::header::{CONTENT_TYPE, ETAG, IF_MATCH, LAST_MODIFIED};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cookie_jar::CookieJar;
use crate::pagination::error::{PageError, excerpt};
use crate::pagination::page::{Head, PageFields};
use crate::pagination::path::Path;
use crate::pagination::record_settings::Presence;
use crate::pagination::request::{Encode, PageRequest, Param};
use crate::pagination::settings::{ConsistencyLevel, Pagination};
use crate::pagination::since_valid_at::{Precondition, ValidAt, VersionSource, unchanged_since};
use crate::pagination::value_source::first_live;
use crate::pagination::verdict::Consistency;

/// Version and condition of a walk's requests.
#[derive(Debug)]
pub(super) struct PinnedState {
    valid_at: Option<ValidAt>,
    precondition: Precondition,
    requirement: StateRequirement,
    /// Path of the columns' names, where pages have some.
    columns: Option<Path>,
    /// Columns of the crawl, which all its parts share.
    shared_columns: Arc<OnceLock<Value>>,
    presence: Presence,
    pins: StatePins,
    jar: CookieJar,
}

/// Use of the state's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StateRequirement {
    /// A crawl whose pages are of no one state ends as `unverified`.
    Optional,
    /// By `consistency = "upstream"`: such a crawl breaks.
    Required,
}

/// Names of the collection's state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct StatePins {
    /// Value of the parameter of `valid_at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<Value>,
    /// `If-Match` or `If-Unmodified-Since`, and its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    condition: Option<(String, String)>,
    /// First answer that does not show that the condition was heeded, as a phrase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unheeded: Option<String>,
    /// Names of the columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    columns: Option<Value>,
}

impl PinnedState {
    /// Reads the version that the first request names.
    pub(super) fn new(pagination: &Pagination, first: &PageRequest) -> Self {
        let valid_at = pagination.valid_at.clone();
        let version = valid_at.as_ref().and_then(|valid_at| first.json_at(&valid_at.param));
        let pins = StatePins { version, ..StatePins::default() };
        let requirement = match pagination.consistency {
            Some(ConsistencyLevel::Upstream) => StateRequirement::Required,
            _ => StateRequirement::Optional,
        };
        let jar = CookieJar::new(pagination.cookies, &first.url);
        let columns = pagination.records.columns();
        Self {
            valid_at,
            precondition: pagination.precondition,
            requirement,
            columns,
            shared_columns: Arc::default(),
            presence: pagination.records.presence,
            pins,
            jar,
        }
    }

    /// Compares the columns with those of the crawl's other parts.
    pub(super) fn share_columns(&mut self, columns: &Arc<OnceLock<Value>>) {
        self.shared_columns = Arc::clone(columns);
    }

    /// Returns true if an answer may say that the collection has changed.
    pub(super) fn has_condition(&self) -> bool {
        self.pins.condition.is_some()
    }

    /// Parameter that names the collection's state in every request, where one does.
    pub(super) fn version_param(&self) -> Option<&Param> {
        self.pins.version.as_ref().and(self.valid_at.as_ref()).map(|valid_at| &valid_at.param)
    }

    /// Consistency of the answers to conditional requests; `None` where no request has a condition.
    pub(super) fn by_condition(&self) -> Option<Consistency> {
        let (field, _) = self.pins.condition.as_ref()?;
        let upheld = || Consistency::Upstream { by: format!("`{field}` in every request but the first") };
        let doubt = self.pins.unheeded.clone().map(|why| Consistency::Unverified { why });
        Some(doubt.unwrap_or_else(upheld))
    }

    /// Returns true if an answer does not show that the condition was heeded.
    pub(super) fn is_unheeded(&self) -> bool {
        self.pins.unheeded.is_some()
    }

    /// Names of the state for a checkpoint; `None` where nothing is named.
    pub(super) fn pins(&self) -> Option<StatePins> {
        Some(self.pins.clone()).filter(|pins| *pins != StatePins::default())
    }

    pub(super) fn resume(&mut self, pins: StatePins) {
        self.pins = pins;
    }

    /// Returns true if a page that is still arriving may have another name for the state.
    pub(super) fn may_be_renamed_in(&self, fields: &PageFields) -> bool {
        match self.valid_at.as_ref().map(|valid_at| &valid_at.from) {
            Some(VersionSource::Opened(opened)) if opened.renewed.is_some() => {
                opened.newer_name(fields) != self.pins.version.as_ref()
            }
            _ => false,
        }
    }

    /// Takes a newer name of the state, where the page has one.
    pub(super) fn rename(&mut self, fields: &PageFields) {
        if let Some(VersionSource::Opened(opened)) = self.valid_at.as_ref().map(|valid_at| &valid_at.from)
            && let Some(name) = opened.newer_name(fields)
        {
            self.pins.version = Some(name.clone());
        }
    }

    /// Reads the state from the first page: it holds for all that follow.
    pub(super) fn learn(&mut self, head: &Head, fields: &PageFields, records: u64) -> Result<(), PageError> {
        if records == 0 && self.columns.is_some() && !self.allows_no_rows(head) {
            return Err(PageError::NoRows);
        }
        if let Some(VersionSource::Page(source)) = self.valid_at.as_ref().map(|valid_at| &valid_at.from)
            && self.pins.version.is_none()
        {
            let live = first_live(std::slice::from_ref(source), head, fields, &[]);
            let (_, version) = live.ok_or_else(|| PageError::NoVersion(source.to_string()))?;
            self.pins.version = Some(version);
        }
        if self.precondition == Precondition::Match {
            let condition = unchanged_since(&head.headers);
            self.pins.condition = condition.map(|(name, value)| (name.to_string(), value.to_owned()));
        }
        self.jar.learn(&head.headers);
        Ok(())
    }

    /// Returns true if a first page may have columns and no rows: a line of an error message looks like that, too.
    fn allows_no_rows(&self, head: &Head) -> bool {
        let label = head.headers.get(CONTENT_TYPE).and_then(|label| label.to_str().ok()).unwrap_or_default();
        self.presence == Presence::Optional && (label.contains("csv") || label.contains("tab-separated"))
    }

    /// Refuses a page whose columns are not those of the first one.
    pub(super) fn check_columns(&mut self, fields: &PageFields) -> Result<(), PageError> {
        let Some(found) = self.columns.as_ref().and_then(|columns| fields.get(columns)) else { return Ok(()) };
        let of_crawl = || self.shared_columns.get_or_init(|| found.clone()).clone();
        let first = self.pins.columns.get_or_insert_with(of_crawl);
        if first == found {
            return Ok(());
        }
        Err(PageError::ColumnsChanged { first: excerpt(&first.to_string()), found: excerpt(&found.to_string()) })
    }

    /// Takes the head of an answer: under a condition only one with the same validator is of the first page's state. Many upstreams ignore
    /// conditions, or tag each page by itself, and a refusal is given without regard to them (RFC 9110 §13.2.1).
    pub(super) fn check(&mut self, headers: &HeaderMap) -> Result<(), PageError> {
        let Some((field, wanted)) = self.pins.condition.as_ref().filter(|_| !self.is_unheeded()) else { return Ok(()) };
        let validator = if *field == IF_MATCH.as_str() { ETAG } else { LAST_MODIFIED };
        let found = headers.get(&validator);
        if found.is_some_and(|found| found == wanted) {
            return Ok(());
        }
        let text = |found: &HeaderValue| excerpt(&String::from_utf8_lossy(found.as_bytes()));
        let found = found.map_or(format!("no `{validator}`"), |found| format!("`{validator}: {}`", text(found)));
        let wanted = excerpt(wanted);
        let why =
            format!("nothing shows that the upstream heeds `{field}: {wanted}`, since a later answer has {found}");
        self.pins.unheeded = Some(why.clone());
        match self.requirement {
            StateRequirement::Optional => Ok(()),
            StateRequirement::Required => Err(PageError::NoState(why)),
        }
    }

    /// Refuses a further page, where one state is required and the first page has named none.
    pub(super) fn check_named(&self) -> Result<(), PageError> {
        let names_one = self.pins.condition.is_some() || self.version_param().is_some();
        if self.requirement == StateRequirement::Optional || names_one {
            return Ok(());
        }
        Err(PageError::NoState(
            "page 1 has neither a strong ETag nor a Last-Modified before the second of its Date, and more pages follow"
                .to_owned(),
        ))
    }

    pub(super) fn apply(&self, request: &mut Arc<PageRequest>) -> Result<(), PageError> {
        if let (Some(ValidAt { param, .. }), Some(version)) = (&self.valid_at, &self.pins.version) {
            let text = version.as_str().map_or_else(|| version.to_string(), ToOwned::to_owned);
            // A link that has the version keeps the link's own spelling.
            if request.value_at(param) != Some(text) {
                Arc::make_mut(request).set(param, version, Encode::Plain)?;
            }
        }
        if let Some((name, value)) = &self.pins.condition {
            let unfit = || PageError::BadCheckpoint("the condition of its pages is no header field".to_owned());
            let name: HeaderName = name.parse().map_err(|_| unfit())?;
            Arc::make_mut(request).headers.insert(name, HeaderValue::from_str(value).map_err(|_| unfit())?);
        }
        self.jar.apply(request);
        Ok(())
    }

    /// Returns true if the first page has to come before the next request can be made.
    pub(super) fn needs_first_page(&self) -> bool {
        let from_page = self.valid_at.as_ref().is_some_and(|it| matches!(it.from, VersionSource::Page(_)));
        let from_page = from_page && self.pins.version.is_none();
        from_page || self.precondition == Precondition::Match || self.jar.needs_first_page()
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use http::header::DATE;
    use url::Url;

    use super::*;
    use crate::pagination::path::Path;
    use crate::pagination::record_settings::Records;
    use crate::pagination::styles::Style;

    #[test]
    fn the_first_pages_validator_is_the_condition_of_all_that_follow() {
        let mut pagination = Pagination::of(Style::SINGLE, Records::at(Path::root()));
        pagination.precondition = Precondition::Match;
        let mut request = Arc::new(PageRequest::get(Url::parse("http://a/").unwrap()));
        let mut state = PinnedState::new(&pagination, &request);
        assert!(state.needs_first_page() && state.pins().is_none());
        let headers = HeaderMap::from_iter([(ETAG, HeaderValue::from_static("\"v1\""))]);
        let head = Head { status: StatusCode::OK, headers, url: request.url.clone() };
        state.learn(&head, &PageFields::default(), 1).unwrap();
        state.apply(&mut request).unwrap();
        assert_eq!(request.headers[IF_MATCH], "\"v1\"");
        let pins = serde_json::to_string(&state.pins().unwrap()).unwrap();
        assert_eq!(pins, r#"{"condition":["if-match","\"v1\""]}"#);
    }

    #[test]
    fn only_an_answer_with_the_conditions_validator_shows_that_it_was_heeded() {
        const CHANGED: &str = "Wed, 01 Jan 2020 00:00:00 GMT";
        const LATER: &str = "Wed, 01 Jan 2020 00:00:01 GMT";
        const TODAY: &str = "Thu, 02 Jan 2020 00:00:00 GMT";
        let headers = |fields: &[(HeaderName, &'static str)]| -> HeaderMap {
            fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
        };
        for (first, later, found) in [
            ((ETAG, "\"v1\""), vec![(ETAG, "\"v1\""), (LAST_MODIFIED, LATER)], None),
            (
                (ETAG, "\"v1\""),
                vec![(ETAG, "\"p2\"")],
                Some("`if-match: \"v1\"`, since a later answer has `etag: \"p2\"`"),
            ),
            ((ETAG, "\"v1\""), vec![(ETAG, "W/\"v1\"")], Some("`etag: W/\"v1\"`")),
            ((ETAG, "\"v1\""), vec![(LAST_MODIFIED, CHANGED)], Some("no `etag`")),
            ((LAST_MODIFIED, CHANGED), vec![(ETAG, "\"v2\""), (LAST_MODIFIED, CHANGED)], None),
            (
                (LAST_MODIFIED, CHANGED),
                vec![(LAST_MODIFIED, LATER)],
                Some("`last-modified: Wed, 01 Jan 2020 00:00:01 GMT`"),
            ),
            ((LAST_MODIFIED, CHANGED), vec![], Some("no `last-modified`")),
        ] {
            let mut pagination = Pagination::of(Style::SINGLE, Records::at(Path::root()));
            pagination.precondition = Precondition::Match;
            let request = PageRequest::get(Url::parse("http://a/").unwrap());
            let mut state = PinnedState::new(&pagination, &request);
            let head = Head { status: StatusCode::OK, headers: headers(&[first, (DATE, TODAY)]), url: request.url };
            state.check(&head.headers).unwrap();
            state.learn(&head, &PageFields::default(), 1).unwrap();
            state.check(&head.headers).unwrap();
            assert!(matches!(state.by_condition(), Some(Consistency::Upstream { .. })));
            let told = state.check(&headers(&later));
            state.check(&head.headers).unwrap();
            assert!(told.is_ok());
            match (state.by_condition().unwrap(), found) {
                (Consistency::Upstream { .. }, None) => {}
                (Consistency::Unverified { why }, Some(found)) => assert!(why.contains(found), "{why}"),
                (other, _) => panic!("{later:?}: {other}"),
            }
        }
    }
}
