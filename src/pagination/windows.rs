//! Windows over a range of time: an API that answers for a limited span at a time is read window by window.
//!
//! ```text
//!   windows:  |── first ──|── second ──|── … ──|── last ──|        they meet, and a record belongs to the one that its value names
//!   requests: [─────────────]
//!                      [──────────────]                            each from a little before its window to a little behind it
//! ```
//! The collection has ended where the last window's list has, and those of all windows before it: the windows cover the range without a
//! gap, and a filter that leaves its bounds out loses no record, since a neighbour's request begins before them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::BytesMut;
use serde_json::value::to_raw_value;

pub use super::bad_bound::BadBound;
use super::children::{Lineage, ParentKey};
use super::json_extract::PathSet;
use super::partition_settings::{Bound, RangeKind};
use super::record_values::text_of;
use super::request::{BadPlace, RequestBody};
use super::{Encode, PageError, PageRequest, Param, Path};
use crate::batch::Batch;

/// Seconds of a day, which is the unit of dates.
const DAY: u64 = 86_400;

/// Name of a window's start in a lineage.
pub const SEGMENT: &str = "window";

/// Windows as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct Windows {
    /// Parameter of a window's start.
    pub from: Param,
    /// Parameter of a window's end.
    pub to: Param,
    /// A kind of time.
    pub kind: RangeKind,
    /// Path of the time in a record.
    pub field: Path,
    /// Longest span that the upstream answers for.
    pub span: Duration,
    /// First time of the range.
    pub lower: Bound,
    /// Last time of the range; the time of the crawl's beginning if it is not configured.
    pub upper: Option<Bound>,
}

/// The windows of one crawl.
#[derive(Debug)]
pub struct WindowSeries {
    windows: Windows,
    wanted: PathSet,
    /// Start of the first window, and the side of the range that it is.
    start: i128,
    start_by: BoundAuthor,
    /// Unit that the last request names, and the one from which on records are left out.
    stop: i128,
    end: i128,
    end_by: BoundAuthor,
}

/// Author of a bound of the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BoundAuthor {
    /// The request of the client: its text is sent as it is, and the upstream decides what it includes.
    Client,
    Configuration,
}

/// One window. A window without an end is the last one, and the upstream decides where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// First unit.
    pub start: i128,
    /// First unit behind it.
    end: Option<i128>,
    /// Start of the next window; none for the last one.
    pub next: Option<i128>,
}

/// Records of one window.
#[derive(Clone, Debug)]
pub struct WindowFilter {
    series: Arc<WindowSeries>,
    window: Window,
}

impl Windows {
    /// Parameters that tell one window from another.
    pub fn params(&self) -> [&Param; 2] {
        [&self.from, &self.to]
    }

    /// Least span, which leaves a unit to a window beside what its requests share with those of its neighbours.
    pub fn least_span(kind: RangeKind) -> Duration {
        Duration::from_secs(u64::try_from(kind.margin() + 3).unwrap_or(u64::MAX) * unit(kind))
    }

    /// Largest number of units of a window: the span counts both of a request's bounds.
    fn units(&self) -> i128 {
        i128::from(self.span.as_secs() / unit(self.kind)) - 2 - self.kind.margin()
    }

    /// The windows of a crawl that begins at `now` with this request.
    ///
    /// # Errors
    /// Fails where the request has a bound of another kind.
    pub fn series(&self, first: &PageRequest, now: SystemTime) -> Result<WindowSeries, BadBound> {
        let own = |param: &Param| match first.value_at(param) {
            _ if is_there_twice(first, param) => Err(BadBound::Twice(param.clone())),
            None => Ok(None),
            Some(text) => match self.kind.unit_of_text(&text) {
                Some(unit) => Ok(Some(unit)),
                None => Err(BadBound::Kind(param.clone(), self.kind.name())),
            },
        };
        let now = self.kind.unit_now(now).unwrap_or_default();
        let unit_at = |bound: &Bound| match bound {
            Bound::At(value) => self.kind.unit_of(value).unwrap_or(now),
            Bound::Now => now,
        };
        let start = own(&self.from)?;
        let (stop, end, end_by) = match (own(&self.to)?, &self.upper) {
            (Some(stop), _) if start.is_some_and(|start| start > stop) => {
                return Err(BadBound::Swapped(self.from.clone(), self.to.clone()));
            }
            (Some(own), _) if own <= now => (own, own, BoundAuthor::Client),
            // Records of the future are not there yet, and a proof of their end would have them skipped later. The present day has begun, and
            // more of it may come; the present second would be asked for in the future.
            (Some(_), _) | (None, None | Some(Bound::Now)) if self.kind != RangeKind::Date => {
                (now, now, BoundAuthor::Configuration)
            }
            (asked, upper) => {
                let last = if asked.is_some() { now } else { upper.as_ref().map_or(now, unit_at) };
                (last + 2, last + 1, BoundAuthor::Configuration)
            }
        };
        let (start, start_by) = match start {
            Some(start) => (start, BoundAuthor::Client),
            // A single window of no time would have no records, and that would be taken for the whole collection.
            None => match unit_at(&self.lower) {
                lower if lower <= stop => (lower, BoundAuthor::Configuration),
                lower if end_by == BoundAuthor::Client => {
                    return Err(BadBound::BeforeAll(self.to.clone(), shown(self.kind, lower)));
                }
                lower => return Err(BadBound::InFuture(shown(self.kind, lower))),
            },
        };
        Ok(WindowSeries {
            wanted: PathSet::new(&[&self.field]),
            start,
            start_by,
            stop,
            end,
            end_by,
            windows: self.clone(),
        })
    }
}

impl WindowSeries {
    /// Start of the first window.
    pub fn start(&self) -> i128 {
        self.start
    }

    /// The window with this start.
    pub fn at(&self, start: i128) -> Window {
        let margin = self.windows.kind.margin();
        // The last request may be as long as any.
        if self.stop - (start - margin) <= self.windows.units() + margin + 1 {
            let end = (self.end_by == BoundAuthor::Configuration).then_some(self.end);
            return Window { start, end, next: None };
        }
        let end = start + self.windows.units();
        Window { start, end: Some(end), next: Some(end) }
    }

    /// The lineage of the window with this start: it has the start as its key.
    pub fn lineage(&self, start: i128) -> Lineage {
        let name = to_raw_value(&self.windows.kind.value(start)).expect("a time is a text or a number");
        let key = ParentKey::from_json(&name).expect("a time is a text or a number");
        Lineage::default().with(&Arc::from(SEGMENT), key)
    }

    /// The window of a lineage; none where its key is no time.
    pub fn window_of(&self, lineage: &Lineage) -> Option<Window> {
        let [own] = lineage.ancestors() else { return None };
        Some(self.at(self.windows.kind.unit_of(&serde_json::from_str(own.key.json()).ok()?)?))
    }

    /// End of the range, as a text for people.
    pub fn shown_end(&self) -> String {
        self.shown(self.end)
    }

    /// Returns `first` for the records of a window.
    pub fn request(&self, first: &PageRequest, window: Window) -> Result<PageRequest, BadPlace> {
        let Windows { from, to, kind, .. } = &self.windows;
        let mut request = first.clone();
        if !self.is_open_below(window) {
            request.set(from, &kind.value(window.start - kind.margin()), Encode::Plain)?;
        }
        if let Some(stop) = self.stop_of(window) {
            request.set(to, &kind.value(stop), Encode::Plain)?;
        }
        Ok(request)
    }

    pub fn filter(self: &Arc<Self>, window: Window) -> WindowFilter {
        WindowFilter { series: Arc::clone(self), window }
    }

    /// Returns true for a window that begins where the client says.
    fn is_open_below(&self, window: Window) -> bool {
        window.start == self.start && self.start_by == BoundAuthor::Client
    }

    /// Unit that a window's request has as its end; none where it is the client's.
    fn stop_of(&self, window: Window) -> Option<i128> {
        match window.next {
            Some(end) => Some(end + 1),
            None => window.end.map(|_| self.stop),
        }
    }

    fn shown(&self, unit: i128) -> String {
        shown(self.windows.kind, unit)
    }

    /// Unit of the record in `line`.
    fn unit_of(&self, line: &[u8]) -> Result<i128, PageError> {
        let Windows { kind, field, .. } = &self.windows;
        let mut values = [None];
        self.wanted.extract(text_of(line)?, &mut values)?;
        let [value] = values;
        let value = value.ok_or_else(|| PageError::NoRangeValue(field.clone()))?;
        kind.unit_of_raw(value).ok_or_else(|| kind.bad_value(field, value))
    }
}

impl WindowFilter {
    /// Returns the records that belong to the window.
    ///
    /// # Errors
    /// Fails for a record without a time, and for one that the request did not ask for: the upstream does not filter as configured.
    pub fn pass(&self, batch: Batch) -> Result<Batch, PageError> {
        let Self { series, window } = self;
        let least = (!series.is_open_below(*window)).then(|| window.start - series.windows.kind.margin() - 1);
        let most = series.stop_of(*window).map(|stop| stop + 1);
        let mut lines = BytesMut::new();
        let mut records = 0;
        for line in batch.each() {
            let unit = series.unit_of(line)?;
            if least.is_some_and(|least| unit < least) || most.is_some_and(|most| unit > most) {
                return Err(PageError::OutOfRange { path: series.windows.field.clone(), found: series.shown(unit) });
            }
            let is_before = unit < window.start && !series.is_open_below(*window);
            if !is_before && window.end.is_none_or(|end| unit < end) {
                lines.extend_from_slice(line);
                records += 1;
            }
        }
        Ok(if records == batch.records() { batch } else { Batch::new(lines.freeze(), records) })
    }
}

/// Returns a time as a text for people.
fn shown(kind: RangeKind, unit: i128) -> String {
    let value = kind.value(unit);
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// Seconds of a kind's unit.
fn unit(kind: RangeKind) -> u64 {
    if kind == RangeKind::Date { DAY } else { 1 }
}

fn is_there_twice(request: &PageRequest, param: &Param) -> bool {
    match (param, &request.body) {
        (Param::Query(name), _) => request.url.query_pairs().filter(|(own, _)| own == name).nth(1).is_some(),
        (Param::Form(name), Some(RequestBody::Form(fields))) => {
            fields.iter().filter(|(own, _)| own == name).nth(1).is_some()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use bytes::Bytes;
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use url::Url;

    use super::*;

    fn windows(kind: RangeKind, span: u64, lower: Value, upper: Option<Value>) -> Windows {
        Windows {
            from: Param::Query("since".into()),
            to: Param::Query("until".into()),
            kind,
            field: "at".parse().unwrap(),
            span: Duration::from_secs(span),
            lower: Bound::At(lower),
            upper: upper.map(Bound::At),
        }
    }

    fn first(query: &str) -> PageRequest {
        PageRequest::get(Url::parse(&format!("http://a/x?{query}")).unwrap())
    }

    fn all(series: &WindowSeries) -> Vec<Window> {
        std::iter::successors(Some(series.at(series.start())), |window| window.next.map(|next| series.at(next)))
            .collect()
    }

    fn queries(windows: &Windows, query: &str, now: u64) -> Vec<String> {
        let first = first(query);
        let series = windows.series(&first, UNIX_EPOCH + Duration::from_secs(now)).unwrap();
        let request = |window| series.request(&first, window).unwrap().url.query().unwrap().to_owned();
        all(&series).into_iter().map(request).collect()
    }

    #[test]
    fn requests_reach_beyond_their_windows_and_no_further_than_the_present() {
        let unix = windows(RangeKind::Unix, 13, json!(100), None);
        assert_eq!(
            queries(&unix, "a=b", 125),
            ["a=b&since=99&until=111", "a=b&since=109&until=121", "a=b&since=119&until=125"]
        );
        let dates = windows(RangeKind::Date, 10 * DAY, json!("2020-01-01"), Some(json!("2020-01-10")));
        assert_eq!(queries(&dates, "", 0), ["since=2019-12-30&until=2020-01-08", "since=2020-01-05&until=2020-01-12"]);
    }

    #[test]
    fn bounds_of_the_client_are_sent_as_they_are() {
        let rfc = windows(RangeKind::Rfc3339, 3600, json!("2020-01-01T00:00:00Z"), None);
        assert_eq!(
            queries(&rfc, "since=2024-05-01T02:00:00%2B02:00&until=2024-05-01T01:30:00.5Z", 2_000_000_000),
            [
                "since=2024-05-01T02:00:00%2B02:00&until=2024-05-01T00%3A59%3A58Z",
                "since=2024-05-01T00%3A59%3A56Z&until=2024-05-01T01:30:00.5Z"
            ]
        );
        assert_eq!(queries(&rfc, "since=2024-05-01T00:00:00Z&until=2024-05-01T00:00:00Z", 2_000_000_000).len(), 1);
        let unix = windows(RangeKind::Unix, 13, json!(100), None);
        assert_eq!(
            queries(&unix, "since=120&until=900", 125),
            ["since=120&until=125"],
            "an end in the future is the present"
        );
        for (query, what) in
            [("since=9&until=8", "later than"), ("since=1&since=2", "twice"), ("until=1&until=2", "twice")]
        {
            assert!(unix.series(&first(query), UNIX_EPOCH).unwrap_err().to_string().contains(what), "{query}");
        }
        let bad = rfc.series(&first("since=yesterday"), UNIX_EPOCH).unwrap_err().to_string();
        assert!(bad.contains("`since`") && !bad.contains("yesterday"), "{bad}");
    }

    #[test]
    fn a_record_that_was_not_asked_for_is_an_error() {
        let unix = windows(RangeKind::Unix, 13, json!(100), None);
        let series = Arc::new(unix.series(&first(""), UNIX_EPOCH + Duration::from_secs(125)).unwrap());
        let filter = series.filter(series.at(110));
        let pass = |line: &'static str| filter.pass(Batch::new(Bytes::from_static(line.as_bytes()), 1));
        for (line, records) in
            [("{\"at\":109}\n", 0), ("{\"at\":110}\n", 1), ("{\"at\":119.9}\n", 1), ("{\"at\":120}\n", 0)]
        {
            assert_eq!(pass(line).unwrap().records(), records, "{line}");
        }
        for line in ["{\"at\":107}\n", "{\"at\":123}\n", "{}\n", "{\"at\":\"x\"}\n"] {
            assert!(pass(line).is_err(), "{line}");
        }
    }

    proptest! {
        /// Each record is in one window and no request is longer than the span, with filters that include their bounds and with those that exclude them.
        #[test]
        fn each_record_is_in_one_window(
            lower in 0..500_i128, length in 0..400_i128, span in 4..60_u64, includes_from: bool, includes_to: bool,
            is_client_from: bool,
        ) {
            let windows = windows(RangeKind::Unix, span, json!(lower as u64), None);
            let first = first(&if is_client_from { format!("since={lower}") } else { String::new() });
            let now = UNIX_EPOCH + Duration::from_secs((lower + length) as u64);
            let series = Arc::new(windows.series(&first, now).unwrap());
            let mut seen = Vec::new();
            for window in all(&series) {
                let request = series.request(&first, window).unwrap();
                let bound = |param| request.value_at(param).unwrap().parse::<i128>().unwrap();
                let (from, to) = (bound(&windows.from), bound(&windows.to));
                prop_assert!(to - from < i128::from(span), "{from} to {to}");
                let answered = |unit: &i128| (from..=to).contains(unit) && (includes_from || *unit > from) && (includes_to || *unit < to);
                let lines: String = (0..1000).filter(answered).map(|unit| format!("{{\"at\":{unit}}}\n")).collect();
                let records = lines.lines().count() as u64;
                let passed = series.filter(window).pass(Batch::new(Bytes::from(lines), records)).unwrap();
                seen.extend(passed.each().map(|line| serde_json::from_slice::<Value>(line).unwrap()["at"].as_i64().unwrap()));
            }
            let first = lower + i128::from(is_client_from && !includes_from);
            let wanted: Vec<_> = (first..lower + length).map(|unit| unit as i64).collect();
            // The bound of the client itself is the upstream's to decide.
            prop_assert!(seen == wanted, "{seen:?} {wanted:?}");
        }
    }
}
