//! Model tests: every pagination's plan, driven without a socket over generated collections, against a model that is a list.
//!
//! The upstream is a twenty-line list server for each style, with the manners real ones have: it clamps page sizes, gives
//! empty pages in the middle, leaves out or nulls its pointers, and answers past the end with an empty page, a status or the
//! last page once more. A crawl must emit the list, each record once and in order, or break; it may never end with less.

#![allow(
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    reason = "clippy.toml allows it in tests, and means their helpers too"
)]

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use proptest::prelude::*;
use serde_json::{Value, json};
use unpage::batch::Batch;
use unpage::config::Caps;
use unpage::pagination::link_guard::LinkGuard;
use unpage::pagination::page::Head;
use unpage::pagination::plan::{Checkpoint, PageSoFar, Proof, Walk, WalkStep};
use unpage::pagination::request::{PageRequest, RequestBody, query_value};
use unpage::pagination::splitter::{PageShape, Splitter};
use unpage::pagination::{
    Advance, Base, ConsistencyLevel, Cursor, Encode, End, ErrorSettings, KeyUse, Keyset, LinkHeader, More, NextRequest,
    NextUrl, Offset, Overlap, PageError, PageNumber, PageSize, Pagination, Param, Path, Precondition, RangeHeader,
    Records, Source, Style, Token, ValidAt, VersionSource,
};
use url::Url;

const ORIGIN: &str = "http://api.example";

/// An answer: status, header fields, page.
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Value,
}

/// Way in which the list is served.
#[derive(Clone, Debug)]
struct Server {
    records: u64,
    /// Largest page, even if more records are requested.
    clamp: u64,
    /// Pages with these numbers (from 0) come empty, with a pointer to the same place.
    empty: Vec<u64>,
    past: Past,
    total: Total,
    pointer: Pointer,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Past {
    Empty,
    NotFound,
    LastAgain,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Total {
    None,
    Records,
    Pages,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Pointer {
    Null,
    Absent,
    Blank,
}

fn record(n: u64) -> Value {
    json!({"id": n, "name": format!("record {n}")})
}

impl Server {
    fn slice(&self, from: u64, size: u64) -> Vec<Value> {
        let size = size.min(self.clamp);
        (from..self.records.min(from.saturating_add(size))).map(record).collect()
    }

    fn size(&self, request: &PageRequest) -> u64 {
        let asked = query_value(&request.url, "limit").and_then(|text| text.parse().ok()).unwrap_or(self.clamp);
        u64::min(asked, self.clamp).max(1)
    }

    fn page(&self, data: Vec<Value>, more: bool, size: u64) -> serde_json::Map<String, Value> {
        let mut body = serde_json::Map::new();
        body.insert("data".into(), json!(data));
        body.insert("has_more".into(), json!(more));
        match self.total {
            Total::None => {}
            Total::Records => drop(body.insert("total".into(), json!(self.records))),
            Total::Pages => drop(body.insert("pages".into(), json!(self.records.div_ceil(size)))),
        }
        body
    }

    fn ok(body: serde_json::Map<String, Value>) -> Answer {
        Answer { status: 200, headers: Vec::new(), body: Value::Object(body) }
    }

    /// Tokens: `from` of the next record, and how many pages came before, so that an empty page has its own token.
    fn token(&self, request: &PageRequest, name: &str) -> (u64, u64) {
        let text = query_value(&request.url, name).unwrap_or_default();
        let (from, page) = text.split_once('_').unwrap_or(("0", "0"));
        (from.parse().unwrap(), page.parse().unwrap())
    }

    /// A page by token, and the next token.
    fn pointed(&self, request: &PageRequest) -> (serde_json::Map<String, Value>, Option<String>) {
        let (from, page) = self.token(request, "cursor");
        let size = self.size(request);
        let data = if self.empty.contains(&page) { Vec::new() } else { self.slice(from, size) };
        let next = from + data.len() as u64;
        let more = next < self.records;
        (self.page(data, more, size), more.then(|| format!("{next}_{}", page + 1)))
    }

    fn put_pointer(&self, body: &mut serde_json::Map<String, Value>, next: Option<Value>) {
        match (next, self.pointer) {
            (Some(next), _) => drop(body.insert("next".into(), next)),
            (None, Pointer::Null) => drop(body.insert("next".into(), Value::Null)),
            (None, Pointer::Blank) => drop(body.insert("next".into(), json!(""))),
            (None, Pointer::Absent) => {}
        }
    }

    fn numbered(&self, from: u64, size: u64) -> Answer {
        if from >= self.records && from > 0 {
            match self.past {
                Past::Empty => {}
                Past::NotFound => {
                    return Answer { status: 404, headers: Vec::new(), body: json!({"error": "no such page"}) };
                }
                Past::LastAgain => {
                    let last = self.records.saturating_sub(1) / size * size;
                    return Self::ok(self.page(self.slice(last, size), false, size));
                }
            }
        }
        let data = self.slice(from, size);
        let more = from + (data.len() as u64) < self.records;
        Self::ok(self.page(data, more, size))
    }

    fn answer(&self, style: &Style, request: &PageRequest) -> Answer {
        let size = self.size(request);
        let number = |name: &str, default: u64| {
            query_value(&request.url, name).and_then(|text| text.parse().ok()).unwrap_or(default)
        };
        match style {
            Style::LinkHeader(_) => {
                let (body, next) = self.pointed(request);
                let mut answer = Self::ok(body);
                if let Some(next) = next {
                    let limit = query_value(&request.url, "limit").map(|limit| format!("&limit={limit}"));
                    let link = format!("<{ORIGIN}/list?cursor={next}{}>; rel=\"next\"", limit.unwrap_or_default());
                    answer.headers.push(("link", link));
                }
                answer
            }
            Style::NextUrl(_) => {
                let (mut body, next) = self.pointed(request);
                self.put_pointer(&mut body, next.map(|next| json!(format!("/list?limit={size}&cursor={next}"))));
                Self::ok(body)
            }
            Style::Cursor(_) => {
                let (mut body, next) = self.pointed(request);
                self.put_pointer(&mut body, next.map(Value::from));
                Self::ok(body)
            }
            Style::Page(PageNumber { start, .. }) => self.numbered((number("page", *start) - start) * size, size),
            Style::Offset(Offset { start, .. }) => self.numbered(number("offset", *start) - start, size),
            Style::Keyset(Keyset { overlap, .. }) => {
                let from = query_value(&request.url, "after").map_or(0, |after| {
                    let after: u64 = after.parse().unwrap();
                    if *overlap == Overlap::First { after } else { after + 1 }
                });
                let data = self.slice(from, size);
                let more = from + (data.len() as u64) < self.records;
                Self::ok(self.page(data, more, size))
            }
            Style::Range(_) => self.ranged(request),
            Style::Single(_) | Style::Auto(_) => Self::ok(self.page(self.slice(0, u64::MAX), false, size)),
        }
    }

    fn ranged(&self, request: &PageRequest) -> Answer {
        let range = request.headers[header::RANGE].to_str().unwrap().strip_prefix("items=").unwrap();
        let (first, last) = range.split_once('-').unwrap();
        let (first, last): (u64, u64) = (first.parse().unwrap(), last.parse().unwrap());
        let data = self.slice(first, last - first + 1);
        if data.is_empty() {
            let content_range = format!("items */{}", self.records);
            return Answer { status: 416, headers: vec![("content-range", content_range)], body: json!({}) };
        }
        let length = if self.total == Total::Records { self.records.to_string() } else { "*".to_owned() };
        let content_range = format!("items {first}-{}/{length}", first + data.len() as u64 - 1);
        let body = Value::Object(self.page(data, false, 1));
        Answer { status: 206, headers: vec![("content-range", content_range)], body }
    }
}

/// Result of a crawl.
#[derive(Debug)]
struct Crawled {
    ids: Vec<u64>,
    /// The records that left.
    log: Vec<u8>,
    requests: u64,
    /// Number of next pages that could have been requested before a page was whole, and of those that were requested in vain.
    early: u64,
    wasted: u64,
    end: Result<Proof, PageError>,
}

impl Crawled {
    fn emit(&mut self, batch: &Batch) {
        self.log.extend_from_slice(batch.lines());
        let lines = std::str::from_utf8(batch.lines()).unwrap().lines();
        // A record without an id is one that its test wants refused, which may be only when it has left.
        self.ids.extend(lines.filter_map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_u64()));
    }

    /// Shows the plan a page that comes in pieces of this size, and gives the request that it may be asked for early.
    fn read(
        &mut self,
        plan: &mut Walk,
        shape: &Arc<PageShape>,
        head: &Arc<Head>,
        body: &str,
        size: usize,
    ) -> Result<Option<Arc<PageRequest>>, PageError> {
        plan.begun(head)?;
        let (mut splitter, mut records, mut early) = (Splitter::new(Arc::clone(shape)), 0, None);
        for piece in body.as_bytes().chunks(size) {
            splitter.feed(piece)?;
            let batch = splitter.take();
            records += batch.records();
            self.emit(&plan.records(head, splitter.fields(), batch)?);
            early = early.or_else(|| plan.early(PageSoFar { head, fields: splitter.fields(), records }));
        }
        plan.arrived(head, splitter.finish_any()?, None)?.iter().for_each(|batch| self.emit(batch));
        Ok(early)
    }
}

fn crawl(pagination: &Pagination, answer: impl FnMut(&PageRequest) -> Answer) -> Crawled {
    crawl_at("/list", pagination, answer)
}

fn crawl_at(path: &str, pagination: &Pagination, mut answer: impl FnMut(&PageRequest) -> Answer) -> Crawled {
    let caps = Caps { pages: 10_000, empty_pages: 20, ..Caps::default() };
    let shape = Arc::new(PageShape::new(pagination, &caps));
    let guard = LinkGuard::new(&Url::parse(ORIGIN).unwrap(), &[]);
    let first = PageRequest::get(Url::parse(&format!("{ORIGIN}{path}")).unwrap());
    let mut crawled =
        Crawled { ids: Vec::new(), log: Vec::new(), requests: 0, early: 0, wasted: 0, end: Ok(Proof::NoNext) };
    let new = || Walk::new(Arc::new(pagination.clone()), caps.clone(), guard.clone(), first.clone());
    let mut plan = match new() {
        Ok(plan) => plan,
        Err(wrong) => return Crawled { end: Err(wrong), ..crawled },
    };
    let mut shadows = Shadows::default();
    let mut early: Option<Arc<PageRequest>> = None;
    crawled.end = loop {
        let step = plan.step();
        shadows.step(&step);
        if let Some(early) = early.take() {
            crawled.early += 1;
            let is_used = matches!(&step, WalkStep::Fetch(request) if request.identity() == early.identity());
            crawled.wasted += u64::from(!is_used);
        }
        let request = match step {
            WalkStep::Fetch(request) => request,
            WalkStep::Done(proof) => break Ok(proof),
        };
        crawled.requests += 1;
        let answer = answer(&request);
        let mut headers = HeaderMap::new();
        for (name, value) in answer.headers {
            headers.append(name, HeaderValue::from_str(&value).unwrap());
        }
        let status = StatusCode::from_u16(answer.status).unwrap();
        let head = Arc::new(Head { status, headers, url: request.url.clone() });
        let body = answer.body.to_string();
        if !head.status.is_success() {
            let refused = plan.refused(head.status, &head.headers, body.as_bytes());
            shadows.show(&refused, |shadow| shadow.refused(head.status, &head.headers, body.as_bytes()));
            match refused {
                Ok(()) => continue,
                Err(wrong) => break Err(wrong),
            }
        }
        // Whole, in a few pieces, a record or two at a time, byte by byte.
        let size = [usize::MAX, 100, 30, 1][crawled.requests as usize % 4];
        let before = crawled.ids.len();
        let read = crawled.read(&mut plan, &shape, &head, &body, size);
        let left = &crawled.ids[before..];
        shadows.show(&read, |shadow| {
            let mut again =
                Crawled { ids: Vec::new(), log: Vec::new(), requests: 0, early: 0, wasted: 0, end: Ok(Proof::NoNext) };
            let read = again.read(shadow, &shape, &head, &body, size);
            assert_eq!(again.ids, left, "what leaves of a page is another after an interruption");
            read
        });
        match read {
            Ok(next) => early = next,
            Err(wrong) => break Err(wrong),
        }
        let last = body_of(&shape, &body).last().cloned();
        shadows.interrupt(&plan, last, &crawled.log, new().unwrap());
    };
    crawled
}

/// The lines of a page.
fn body_of(shape: &Arc<PageShape>, body: &str) -> Vec<Vec<u8>> {
    let mut splitter = Splitter::new(Arc::clone(shape));
    splitter.feed(body.as_bytes()).unwrap();
    splitter.finish_any().unwrap().batch.each().map(<[u8]>::to_vec).collect()
}

/// Walks that were interrupted after an earlier page and resumed from their checkpoints: they must behave as an uninterrupted one.
#[derive(Default)]
struct Shadows {
    walks: Vec<Walk>,
    notes: Vec<String>,
    last: Option<Vec<u8>>,
}

impl Shadows {
    fn step(&mut self, step: &WalkStep) {
        for walk in &mut self.walks {
            match (walk.step(), step) {
                (WalkStep::Fetch(again), WalkStep::Fetch(request)) => assert_eq!(again, *request),
                (again, step) => assert_eq!(format!("{again:?}"), format!("{step:?}")),
            }
        }
    }

    fn show<T: std::fmt::Debug>(&mut self, came: &T, show: impl Fn(&mut Walk) -> T) {
        for walk in &mut self.walks {
            assert_eq!(format!("{:?}", show(walk)), format!("{came:?}"));
        }
    }

    /// The walk is interrupted behind a page that ends with this record; `new` resumes it.
    fn interrupt(&mut self, walk: &Walk, last: Option<Vec<u8>>, log: &[u8], mut new: Walk) {
        self.notes.push(serde_json::to_string(&walk.checkpoint()).unwrap());
        self.last = last.or(self.last.take());
        // Some walk for thousands of pages.
        if self.notes.len() > 200 {
            self.walks.clear();
        }
        if self.notes.len() > 6 && !matches!(self.notes.len(), 8 | 16 | 32) {
            return;
        }
        let notes = self.notes.iter().map(|note| serde_json::from_str::<Checkpoint>(note).unwrap());
        // Where only records that came twice came, none has left.
        let last = self.last.clone().filter(|_| walk.checkpoint().records() > 0);
        new.resume(notes, last).unwrap();
        new.recall(&Batch::new(log.to_vec().into(), log.iter().filter(|byte| **byte == b'\n').count() as u64)).unwrap();
        assert_eq!(serde_json::to_string(&new.checkpoint()).unwrap(), *self.notes.last().unwrap());
        self.walks.push(new);
    }
}

fn path(text: &str) -> Path {
    text.parse().unwrap()
}

fn query(name: &str) -> Param {
    Param::Query(name.to_owned())
}

fn of(style: Style) -> Pagination {
    let mut pagination = Pagination::of(style, Records::at(path("data")));
    pagination.key = Some(path("id"));
    // What pages that share records make of a list is the matter of tests/drift.rs.
    pagination.consistency = Some(ConsistencyLevel::Detect);
    pagination
}

fn cursor() -> Style {
    let token =
        Token { next: vec![Source::Body(path("next"))], param: query("cursor"), from_url_param: None, first: None };
    Style::Cursor(Cursor { tokens: vec![token], ..Cursor::default() })
}

fn pointing() -> impl Strategy<Value = Style> {
    prop_oneof![
        Just(Style::LinkHeader(LinkHeader { rel: "next".to_owned(), attribute: None })),
        Just(Style::NextUrl(NextUrl { next: vec![Source::Body(path("next"))], base: Base::Request })),
        Just(cursor()),
    ]
}

fn counted() -> impl Strategy<Value = Style> {
    prop_oneof![
        (0..2_u64).prop_map(|start| Style::Page(PageNumber { param: query("page"), start, template: None })),
        (0..2_u64).prop_map(|start| Style::Offset(Offset {
            param: query("offset"),
            start,
            step: Advance::Returned,
            template: None
        })),
    ]
}

fn keyset() -> impl Strategy<Value = Style> {
    prop_oneof![Just(Overlap::None), Just(Overlap::First)].prop_map(|overlap| {
        Style::Keyset(Keyset {
            key: vec![path("id")],
            param: query("after"),
            encode: Encode::Plain,
            overlap,
            usage: KeyUse::Unknown,
        })
    })
}

/// 0, 1, exactly one page, one more, and many.
fn server() -> impl Strategy<Value = Server> {
    let past = prop_oneof![Just(Past::Empty), Just(Past::NotFound), Just(Past::LastAgain)];
    let total = prop_oneof![Just(Total::None), Just(Total::Records), Just(Total::Pages)];
    let pointer = prop_oneof![Just(Pointer::Null), Just(Pointer::Absent), Just(Pointer::Blank)];
    let empty = prop::collection::vec(0..12_u64, 0..4);
    (2..8_u64, prop_oneof![Just(0), Just(1), 0..40_u64], 0..5_u64, empty, past, total, pointer).prop_map(
        |(clamp, records, pages, empty, past, total, pointer)| {
            let records = if pages > 0 { pages * clamp } else { records };
            Server { records, clamp, empty, past, total, pointer }
        },
    )
}

fn size() -> impl Strategy<Value = Option<PageSize>> {
    prop::option::of((2..12_u64).prop_map(|value| PageSize {
        param: Some(query("limit")),
        value: Some(value),
        max: None,
    }))
}

fn says(pagination: &mut Pagination, server: &Server) {
    match server.total {
        Total::None => {}
        Total::Records => pagination.total = Some(Source::Body(path("total"))),
        Total::Pages => pagination.total_pages = Some(Source::Body(path("pages"))),
    }
}

fn all(server: &Server) -> Vec<u64> {
    (0..server.records).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn pointers_lead_to_every_record(style in pointing(), server in server(), size in size(), with_more in any::<bool>(), data_last in any::<bool>()) {
        let mut pagination = of(style.clone());
        pagination.page_size = size;
        // Empty pages make the number of pages meaningless.
        if server.total == Total::Records {
            says(&mut pagination, &server);
        }
        if with_more {
            pagination.more = Some(More { path: path("has_more"), while_: json!(true) });
        }
        let crawled = crawl(&pagination, |request| {
            let mut answer = server.answer(&style, request);
            if data_last {
                let data = answer.body.as_object_mut().unwrap().shift_remove("data").unwrap();
                answer.body["data"] = data;
            }
            answer
        });
        prop_assert!(crawled.end.is_ok(), "{:?}", crawled.end);
        prop_assert_eq!(crawled.ids, all(&server));
        prop_assert_eq!(crawled.wasted, 0);
        // Every other page but the last leads on before it is whole: those that come in one piece can't.
        let is_early = data_last || matches!(style, Style::LinkHeader(_)) && !with_more;
        prop_assert!(!is_early || crawled.early >= (crawled.requests - 1) * 3 / 4, "{} of {}", crawled.early, crawled.requests);
    }

    #[test]
    fn numbers_lead_to_every_record_or_break(style in counted(), server in server(), size in size()) {
        let mut pagination = of(style.clone());
        pagination.page_size = size;
        says(&mut pagination, &server);
        if server.past == Past::NotFound {
            pagination.end = End::from(StatusCode::NOT_FOUND);
        }
        let crawled = crawl(&pagination, |request| server.answer(&style, request));
        let full = crawled.ids == all(&server);
        prop_assert!(full || crawled.end.is_err(), "ended with {} of {} by {:?}", crawled.ids.len(), server.records, crawled.end);
        prop_assert!(all(&server).starts_with(&crawled.ids), "{:?}", crawled.ids);
        // Who repeats the last page past the end and says nothing of a total can't be proven; nor can a single page of it,
        // which is what a server gives that ignores the number.
        let asked = pagination.page_size.as_ref().and_then(PageSize::asked).unwrap_or(server.clamp);
        let several = server.records > asked.min(server.clamp) && server.total != Total::None;
        let provable = server.past != Past::LastAgain || server.records == 0 || several;
        prop_assert!(!provable || crawled.end.is_ok(), "{:?}", crawled.end);
        let pages = server.records.div_ceil(server.size(&PageRequest::get(Url::parse(ORIGIN).unwrap())).min(2));
        prop_assert!(crawled.requests <= pages + 2, "{} requests", crawled.requests);
    }

    #[test]
    fn keys_lead_to_every_record(style in keyset(), server in server(), size in size(), with_more in any::<bool>()) {
        let mut pagination = of(style.clone());
        pagination.page_size = size;
        if with_more {
            pagination.more = Some(More { path: path("has_more"), while_: json!(true) });
        }
        let crawled = crawl(&pagination, |request| server.answer(&style, request));
        prop_assert!(crawled.end.is_ok(), "{:?}", crawled.end);
        prop_assert_eq!(crawled.ids, all(&server));
    }

    #[test]
    fn ranges_lead_to_every_record(server in server(), size in 1..12_u64) {
        let style = Style::Range(RangeHeader { unit: "items".to_owned(), size });
        let pagination = of(style.clone());
        let crawled = crawl(&pagination, |request| server.answer(&style, request));
        prop_assert!(crawled.end.is_ok(), "{:?}", crawled.end);
        prop_assert_eq!(crawled.ids, all(&server));
    }

    /// The upstream inserts, deletes and fails between any two requests: what comes out is never a clean end with less than
    /// what was there all along, for every style whose end a number proves.
    #[test]
    fn a_total_that_disagrees_is_never_an_end(
        style in counted(),
        records in 1..40_u64,
        clamp in 2..6_u64,
        lost in 1..5_u64,
        after in 1..4_u64,
    ) {
        let mut server = Server { records, clamp, empty: Vec::new(), past: Past::Empty, total: Total::Records, pointer: Pointer::Null };
        let mut pagination = of(style.clone());
        says(&mut pagination, &server);
        let mut asked = 0;
        let crawled = crawl(&pagination, |request| {
            asked += 1;
            let mut answer = server.answer(&style, request);
            if asked == after {
                server.records = server.records.saturating_sub(lost);
                // The deleted ones stood at the front: everything behind moves up.
            }
            if asked > after {
                let shifted: Vec<Value> = answer.body["data"].as_array().unwrap().iter()
                    .map(|one| record(one["id"].as_u64().unwrap() + lost)).collect();
                answer.body["data"] = json!(shifted);
            }
            answer
        });
        let survivors: Vec<u64> = (lost.min(records)..records).collect();
        let whole = survivors.iter().all(|id| crawled.ids.contains(id));
        prop_assert!(whole || crawled.end.is_err(), "{:?} of {survivors:?} by {:?}", crawled.ids, crawled.end);
    }
}

/// Each real server's and client's way to lose records in silence, by name: it must be an error or a proven end.
mod traps {
    use super::*;

    fn answers(pages: Vec<Value>) -> impl FnMut(&PageRequest) -> Answer {
        let mut pages = pages.into_iter();
        move |_| Answer { status: 200, headers: Vec::new(), body: pages.next().expect("no more was to be asked for") }
    }

    fn data(ids: std::ops::Range<u64>) -> Value {
        json!(ids.map(record).collect::<Vec<_>>())
    }

    fn offset() -> Pagination {
        of(Style::Offset(Offset { param: query("offset"), start: 0, step: Advance::Returned, template: None }))
    }

    fn page() -> Pagination {
        of(Style::Page(PageNumber { param: query("page"), start: 1, template: None }))
    }

    fn sized(mut pagination: Pagination, value: u64) -> Pagination {
        pagination.page_size = Some(PageSize { param: Some(query("limit")), value: Some(value), max: None });
        pagination
    }

    include!("model/traps.rs");
    include!("model/ends.rs");
}

/// A body that is not text in a query: tokens in JSON bodies keep their type.
#[test]
fn tokens_go_into_bodies_with_their_type() {
    let token = Token {
        next: vec![Source::Body(path("LastEvaluatedKey"))],
        param: Param::Body(path("ExclusiveStartKey")),
        from_url_param: None,
        first: None,
    };
    let style = Style::Cursor(Cursor { tokens: vec![token], ..Cursor::default() });
    let mut bodies = Vec::new();
    let crawled = crawl(&of(style), |request| {
        bodies.push(request.body.as_ref().map(RequestBody::to_bytes));
        let body = match bodies.len() {
            1 => json!({"data": [record(0)], "LastEvaluatedKey": {"id": {"N": "12345678901234567890"}}}),
            2 => json!({"data": [], "LastEvaluatedKey": {"id": {"N": "2"}}}),
            _ => json!({"data": [record(1)]}),
        };
        Answer { status: 200, headers: Vec::new(), body }
    });
    assert_eq!((crawled.ids, crawled.end.unwrap()), (vec![0, 1], Proof::NoNext));
    assert_eq!(bodies[1].as_deref(), Some(&br#"{"ExclusiveStartKey":{"id":{"N":"12345678901234567890"}}}"#[..]));
}
