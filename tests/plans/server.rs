//! A list server for every style, with the manners that real ones have: it caps page sizes without a word, leaves records out
//! of its pages, and has its own idea of what a bound means.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use jiff::{Timestamp, civil};
use serde_json::{Map, Value, json};
use unpage::pagination::page::Head;
use unpage::pagination::partition_settings::{Direction, RangeKind};
use unpage::pagination::request::{PageRequest, query_value};
use unpage::pagination::{Keyset, Offset, Overlap, PageNumber, Style};
use url::Url;

pub(crate) const ORIGIN: &str = "http://api.example";

/// Way in which a list is served.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) style: Style,
    /// In the order in which they are listed.
    pub(crate) records: Vec<Record>,
    /// Largest page, even if more records are requested.
    pub(crate) clamp: u64,
    pub(crate) manners: Manners,
    pub(crate) total: Total,
    pub(crate) filter: Option<Filter>,
}

/// One record; its value is counted in tenths of what a bound can name.
#[derive(Clone, Copy)]
pub(crate) struct Record {
    pub(crate) id: u64,
    pub(crate) tenths: i64,
    pub(crate) shard: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Manners {
    pub(crate) past: Past,
    /// One page of this many is short; none where 0.
    pub(crate) short_pages: u64,
    /// Place of the records in a page: before its other values, or behind them.
    pub(crate) records_last: bool,
}

/// Answer past the last page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Past {
    Empty,
    NotFound,
    LastAgain,
}

/// Statement about all records.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Total {
    None,
    /// Number of records, in the page.
    Records,
    /// The same, where the request's own bounds don't count.
    Unfiltered,
    /// The same in a header field.
    Header,
    /// Number of pages.
    Pages,
    /// A link to the last one.
    LastLink,
}

/// Meaning of `from`, `to` and `shard`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Filter {
    pub(crate) kind: RangeKind,
    pub(crate) direction: Direction,
    pub(crate) from: Edge,
    pub(crate) to: Edge,
    pub(crate) shard: Edge,
    /// True if fractions are compared; false if they are cut off.
    pub(crate) fractions: bool,
}

/// True if a value that equals a bound is within it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Edge {
    Within,
    Without,
    Ignored,
}

pub(crate) struct Answer {
    pub(crate) head: Head,
    pub(crate) body: String,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}/{}", self.id, self.tenths, self.shard)
    }
}

impl Default for Manners {
    fn default() -> Self {
        Self { past: Past::Empty, short_pages: 0, records_last: false }
    }
}

impl Record {
    pub(crate) fn of(id: u64) -> Self {
        Self { id, tenths: 10 * id.cast_signed(), shard: 0 }
    }

    pub(crate) fn to_json(self, filter: Option<&Filter>) -> Value {
        let Some(filter) = filter else { return json!({"id": self.id, "name": format!("record {}", self.id)}) };
        json!({"id": self.id, "shard": self.shard, "at": value(filter.kind, self.tenths)})
    }
}

/// A value of this kind, as a record has it.
fn value(kind: RangeKind, tenths: i64) -> Value {
    let (whole, tenth) = (tenths.div_euclid(10), tenths.rem_euclid(10));
    match kind {
        RangeKind::Integer => json!(whole),
        RangeKind::Unix if tenth == 0 => json!(whole),
        #[allow(clippy::cast_precision_loss, reason = "the values of tests are small")]
        RangeKind::Unix => json!(tenths as f64 / 10.0),
        RangeKind::Rfc3339 => json!(Timestamp::from_millisecond(tenths * 100).unwrap().to_string()),
        RangeKind::Date => json!(date_of(whole).to_string()),
    }
}

fn date_of(day: i64) -> civil::Date {
    Timestamp::from_second(day * 86_400).unwrap().to_zoned(jiff::tz::TimeZone::UTC).date()
}

/// A bound of this kind, as a request has it.
fn bound(kind: RangeKind, text: &str) -> i64 {
    match kind {
        RangeKind::Integer | RangeKind::Unix => text.parse().unwrap(),
        RangeKind::Rfc3339 => text.parse::<Timestamp>().unwrap().as_second(),
        RangeKind::Date => {
            let date: civil::Date = text.parse().unwrap();
            date.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_second().div_euclid(86_400)
        }
    }
}

impl Filter {
    /// Records that the upstream has for this request.
    fn listed(&self, records: &[Record], request: &PageRequest) -> Vec<Record> {
        let shard = query_value(&request.url, "shard").filter(|_| self.shard != Edge::Ignored);
        let shard: Option<u64> = shard.map(|shard| shard.parse().unwrap());
        let bound = |name| query_value(&request.url, name).map(|text| bound(self.kind, &text) * 10);
        let (from, to) = (bound("from"), bound("to"));
        let place = |record: &Record| if self.fractions { record.tenths } else { record.tenths.div_euclid(10) * 10 };
        let above = |place: i64| match (self.from, from) {
            (Edge::Ignored, _) | (_, None) => true,
            (Edge::Within, Some(from)) => place >= from,
            (Edge::Without, Some(from)) => place > from,
        };
        let below = |place: i64| match (self.to, to) {
            (Edge::Ignored, _) | (_, None) => true,
            (Edge::Within, Some(to)) => place <= to,
            (Edge::Without, Some(to)) => place < to,
        };
        let admits = |record: &&Record| {
            let place = place(record);
            shard.is_none_or(|shard| shard == record.shard) && above(place) && below(place)
        };
        records.iter().filter(admits).copied().collect()
    }
}

impl Server {
    /// This many records without a value.
    pub(crate) fn of(style: Style, records: u64, clamp: u64) -> Self {
        let records = (0..records).map(Record::of).collect();
        Self { style, records, clamp, manners: Manners::default(), total: Total::None, filter: None }
    }

    /// The whole collection's ids, as listed.
    pub(crate) fn ids(&self) -> Vec<u64> {
        self.records.iter().map(|record| record.id).collect()
    }

    pub(crate) fn first(&self) -> PageRequest {
        PageRequest::get(Url::parse(&format!("{ORIGIN}/list")).unwrap())
    }

    pub(crate) fn answer(&self, request: &PageRequest) -> Answer {
        let list = self.listed(request);
        let size = self.size(request);
        match &self.style {
            Style::LinkHeader(_) | Style::NextUrl(_) | Style::Cursor(_) => self.pointed(request, &list, size),
            Style::Page(PageNumber { start, .. }) => {
                let page = number(request, "page").unwrap_or(*start).saturating_sub(*start);
                self.numbered(request, &list, page * size, size)
            }
            Style::Offset(Offset { start, .. }) => {
                let offset = number(request, "offset").unwrap_or(*start).saturating_sub(*start);
                self.numbered(request, &list, offset, size)
            }
            Style::Keyset(Keyset { overlap, .. }) => {
                let after = query_value(&request.url, "after").map(|id| {
                    let id: u64 = id.parse().unwrap();
                    list.iter().position(|record| record.id == id).unwrap() + usize::from(*overlap == Overlap::None)
                });
                let from = after.unwrap_or(0);
                let more = from + (size as usize) < list.len();
                self.page(request, &list, slice(&list, from as u64, size), json!(null), more)
            }
            Style::Range(_) => self.ranged(request, &list),
            Style::Single(_) | Style::Auto(_) => self.page(request, &list, &list, json!(null), false),
        }
    }

    fn listed(&self, request: &PageRequest) -> Vec<Record> {
        self.filter.map_or_else(|| self.records.clone(), |filter| filter.listed(&self.records, request))
    }

    fn size(&self, request: &PageRequest) -> u64 {
        number(request, "limit").unwrap_or(self.clamp).min(self.clamp).max(1)
    }

    fn is_short(&self, page: u64) -> bool {
        self.manners.short_pages > 0 && page % self.manners.short_pages == 1
    }

    /// A page by its token: where it starts, and how many came before it.
    fn pointed(&self, request: &PageRequest, list: &[Record], size: u64) -> Answer {
        let token = query_value(&request.url, "cursor").unwrap_or_default();
        let (from, page) = token.split_once('_').unwrap_or(("0", "0"));
        let (from, page): (u64, u64) = (from.parse().unwrap(), page.parse().unwrap());
        let data = slice(list, from, if self.is_short(page) { page % size } else { size });
        let next = from + data.len() as u64;
        let more = next < list.len() as u64;
        let token = format!("{next}_{}", page + 1);
        let mut url = request.url.clone();
        unpage::pagination::request::set_query(&mut url, "cursor", &token);
        match (&self.style, more) {
            (_, false) => self.page(request, list, data, json!(null), false),
            (Style::Cursor(_), true) => self.page(request, list, data, json!(token), true),
            (Style::NextUrl(_), true) => self.page(request, list, data, json!(url.as_str()), true),
            (_, true) => {
                let mut answer = self.page(request, list, data, json!(null), true);
                put(&mut answer.head.headers, "link", &format!("<{url}>; rel=\"next\""));
                answer
            }
        }
    }

    /// A page by the number of its first record.
    fn numbered(&self, request: &PageRequest, list: &[Record], from: u64, size: u64) -> Answer {
        let last = (list.len() as u64).saturating_sub(1) / size * size;
        let from = match self.manners.past {
            Past::NotFound if from > 0 && from >= list.len() as u64 => return self.refusal(request, 404),
            Past::LastAgain if from > last => last,
            _ => from,
        };
        let by_page = matches!(self.style, Style::Page(_));
        let size_here = if self.is_short(from / size) && !by_page { 1 + from % size } else { size };
        let data = slice(list, from, size_here.min(size));
        let more = from + (data.len() as u64) < list.len() as u64;
        self.page(request, list, data, json!(null), more)
    }

    fn ranged(&self, request: &PageRequest, list: &[Record]) -> Answer {
        let range = request.headers[header::RANGE].to_str().unwrap().strip_prefix("items=").unwrap();
        let (first, last) = range.split_once('-').unwrap();
        let (first, last): (u64, u64) = (first.parse().unwrap(), last.parse().unwrap());
        let data = slice(list, first, (last - first + 1).min(self.clamp));
        let length = if self.total == Total::Records { list.len().to_string() } else { "*".to_owned() };
        if data.is_empty() {
            let mut answer = self.refusal(request, 416);
            put(&mut answer.head.headers, "content-range", &format!("items */{}", list.len()));
            return answer;
        }
        let mut answer = self.page(request, list, data, json!(null), false);
        answer.head.status = StatusCode::PARTIAL_CONTENT;
        let content_range = format!("items {first}-{}/{length}", first + data.len() as u64 - 1);
        put(&mut answer.head.headers, "content-range", &content_range);
        answer
    }

    fn page(&self, request: &PageRequest, list: &[Record], data: &[Record], next: Value, more: bool) -> Answer {
        let (mut body, mut headers) = (Map::new(), HeaderMap::new());
        let data: Vec<Value> = data.iter().map(|record| record.to_json(self.filter.as_ref())).collect();
        if !self.manners.records_last {
            body.insert("data".into(), json!(data));
        }
        body.insert("next".into(), next);
        body.insert("has_more".into(), json!(more));
        let (total, pages) = (list.len() as u64, (list.len() as u64).div_ceil(self.size(request)));
        match self.total {
            Total::None => {}
            Total::Records => drop(body.insert("total".into(), json!(total))),
            Total::Unfiltered => drop(body.insert("total".into(), json!(self.records.len()))),
            Total::Pages => drop(body.insert("pages".into(), json!(pages))),
            Total::Header => put(&mut headers, "x-total-count", &total.to_string()),
            Total::LastLink => {
                let start = if let Style::Page(PageNumber { start, .. }) = &self.style { *start } else { 0 };
                let last = (pages + start).saturating_sub(1);
                put(&mut headers, "link", &format!("<{ORIGIN}/list?page={last}>; rel=\"last\""));
            }
        }
        if self.manners.records_last {
            body.insert("data".into(), json!(data));
        }
        let head = Head { status: StatusCode::OK, headers, url: request.url.clone() };
        Answer { head, body: Value::Object(body).to_string() }
    }

    fn refusal(&self, request: &PageRequest, status: u16) -> Answer {
        refusal(request, status)
    }
}

pub(crate) fn refusal(request: &PageRequest, status: u16) -> Answer {
    let status = StatusCode::from_u16(status).unwrap();
    let head = Head { status, headers: HeaderMap::new(), url: request.url.clone() };
    Answer { head, body: json!({"error": "no such page"}).to_string() }
}

/// A page with this body.
pub(crate) fn page(request: &PageRequest, body: &Value) -> Answer {
    let head = Head { status: StatusCode::OK, headers: HeaderMap::new(), url: request.url.clone() };
    Answer { head, body: body.to_string() }
}

fn put(headers: &mut HeaderMap, name: &'static str, value: &str) {
    headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
}

fn slice(list: &[Record], from: u64, size: u64) -> &[Record] {
    let end = list.len().min(from.saturating_add(size) as usize);
    list.get(from as usize..end).unwrap_or_default()
}

/// First number in a parameter, with any text around it.
pub(crate) fn number(request: &PageRequest, name: &str) -> Option<u64> {
    let text = query_value(&request.url, name)?;
    let digits = text.split(|c: char| !c.is_ascii_digit()).find(|digits| !digits.is_empty())?;
    digits.parse().ok()
}
