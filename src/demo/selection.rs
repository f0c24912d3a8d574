//! Selections of orders: by a range of times, numbers or ids, by segment and by region; computed without a scan.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::legacy_api::{Legacy, Listing};
use super::orders::{BEYOND_DOUBLES, Order};
use super::refusal::DemoRefusal;
use super::request::DemoRequest;

/// Some of the orders, in the order of their listing.
#[derive(Clone, Debug, Default)]
pub(super) struct Selection {
    numbers: OrderNumbers,
    pub(super) count: u64,
    listing: Listing,
}

/// Numbers of selected orders, ascending.
#[derive(Clone, Debug)]
enum OrderNumbers {
    /// `first`, `first + step` and so on.
    Steps { first: u64, step: u64 },
    /// These, of a stock that changes.
    Listed(Arc<Vec<u64>>),
}

/// Regions of the orders, in turn.
const REGIONS: [&str; 3] = ["eu", "us", "ap"];

/// Most segments of a collection: the first order of each is found by trial.
const MAX_SEGMENTS: u64 = 1_000;

impl Selection {
    /// Selects by `created[…]`, `sequence[…]`, `id[…]`, `region`, and `segment` with `total_segments`.
    pub(super) fn new(request: &DemoRequest<'_>) -> Result<Self, DemoRefusal> {
        let legacy = request.legacy;
        let mut range = 0..legacy.records;
        for field in [FilterField::Created, FilterField::Sequence, FilterField::Id] {
            range = field.narrowed(request, range)?;
        }
        let (segment, segments) = segment(request)?;
        let (region, regions) = match request.spelled("region") {
            Some(region) => (place(&region)?, REGIONS.len() as u64),
            None => (0, 1),
        };
        // Both are remainders, so that orders with both repeat after the product of the divisors.
        let step = if segments % regions == 0 { segments } else { segments * regions };
        let has_both = |number: &u64| number % segments == segment && number % regions == region;
        let listing = legacy.listing;
        if let Some(stock) = &legacy.stock {
            let is_selected = |number: &u64| (range.start + 1..=range.end).contains(number) && has_both(number);
            let listed = match (range.start, step) {
                (0, 1) if range.end == legacy.records => Arc::clone(stock),
                _ => Arc::new(stock.iter().copied().filter(is_selected).collect()),
            };
            return Ok(Self { count: listed.len() as u64, numbers: OrderNumbers::Listed(listed), listing });
        }
        let first = (1..=step).map(|above| range.start.saturating_add(above)).find(has_both);
        let count = first.and_then(|first| range.end.checked_sub(first)).map_or(0, |above| above / step + 1);
        Ok(Self { numbers: OrderNumbers::Steps { first: first.unwrap_or_default(), step }, count, listing })
    }

    /// The order at this index, from 0; `place` < `count`.
    pub(super) fn order(&self, place: u64) -> Order {
        let nth = match self.listing {
            Listing::OldestFirst => place,
            Listing::NewestFirst => self.count - 1 - place,
        };
        Order(match &self.numbers {
            OrderNumbers::Steps { first, step } => first + nth * step,
            OrderNumbers::Listed(numbers) => numbers[nth as usize],
        })
    }

    /// Number of orders that are listed up to and including this number, which may be absent.
    pub(super) fn up_to(&self, number: u64) -> u64 {
        match self.listing {
            Listing::OldestFirst => self.not_above(number),
            // No order has the number 0, which means the start.
            Listing::NewestFirst => number.checked_sub(1).map_or(0, |below| self.count - self.not_above(below)),
        }
    }

    fn not_above(&self, number: u64) -> u64 {
        match &self.numbers {
            OrderNumbers::Steps { first, step } => {
                let above_first = number.checked_sub(*first).filter(|_| self.count > 0);
                above_first.map_or(0, |above| (above / step + 1).min(self.count))
            }
            OrderNumbers::Listed(numbers) => numbers.partition_point(|listed| *listed <= number) as u64,
        }
    }
}

impl Default for OrderNumbers {
    fn default() -> Self {
        Self::Steps { first: 0, step: 0 }
    }
}

#[derive(Clone, Copy, Debug)]
enum FilterField {
    Created,
    Sequence,
    Id,
}

impl FilterField {
    fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Sequence => "sequence",
            Self::Id => "id",
        }
    }

    /// Narrows a range of order numbers by the filters of this field.
    fn narrowed(self, request: &DemoRequest<'_>, range: Range<u64>) -> Result<Range<u64>, DemoRefusal> {
        let Range { mut start, mut end } = range;
        for operator in ["gte", "gt", "lte", "lt"] {
            let name = format!("{}[{operator}]", self.name());
            let Some(value) = request.spelled(&name) else { continue };
            let (below, through) = self
                .places(request.legacy, &value)
                .ok_or_else(|| DemoRefusal::bad(format!("`{name}` must be a value of `{}`: {value}", self.name())))?;
            match operator {
                "gte" => start = start.max(below),
                "gt" => start = start.max(through),
                "lte" => end = end.min(through),
                _ => end = end.min(below),
            }
        }
        Ok(start.min(end)..end)
    }

    /// Numbers of orders below a value, and not above it.
    fn places(self, legacy: &Legacy, value: &str) -> Option<(u64, u64)> {
        let number = match self {
            Self::Created => {
                let moment = moment(value)?;
                let Some(moment) = moment else { return Some((0, 0)) };
                let after = moment + Duration::from_nanos(1);
                return Some([moment, after].map(|moment| legacy.calendar.before(moment, legacy.records)).into());
            }
            Self::Sequence => value.parse::<i128>().ok()? - i128::from(BEYOND_DOUBLES),
            Self::Id => Order::of_id(value)?.0.into(),
        };
        let through = u64::try_from(number.max(0)).unwrap_or(u64::MAX).min(legacy.records);
        let below = u64::try_from((number - 1).max(0)).unwrap_or(u64::MAX).min(legacy.records);
        Some((below, through))
    }
}

/// Parses a moment since 1970, written as seconds, as a date, or as a date with a time; the inner `None` is a time before 1970.
fn moment(value: &str) -> Option<Option<Duration>> {
    if let Ok(seconds) = value.parse::<i64>() {
        return Some(u64::try_from(seconds).ok().map(Duration::from_secs));
    }
    let time: SystemTime = if value.len() == "2020-01-01".len() {
        humantime::parse_rfc3339(&format!("{value}T00:00:00Z")).ok()?
    } else {
        humantime::parse_rfc3339(&value.replace("+00:00", "Z")).ok()?
    };
    Some(time.duration_since(UNIX_EPOCH).ok())
}

fn segment(request: &DemoRequest<'_>) -> Result<(u64, u64), DemoRefusal> {
    match (request.number("segment")?, request.number("total_segments")?) {
        (None, None) => Ok((0, 1)),
        (Some(segment), Some(segments)) if segment < segments && segments <= MAX_SEGMENTS => Ok((segment, segments)),
        _ => Err(DemoRefusal::bad(format!(
            "`segment` counts from 0 and is less than `total_segments`, which is at most {MAX_SEGMENTS}; send both"
        ))),
    }
}

/// Remainder of a region's order numbers.
fn place(region: &str) -> Result<u64, DemoRefusal> {
    let known = REGIONS.iter().position(|known| *known == region);
    let place =
        known.ok_or_else(|| DemoRefusal::bad(format!("`region` is one of {}: {region}", REGIONS.join(", "))))?;
    Ok(place as u64)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method, StatusCode};
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::demo::{Calendar, Stamp, TimeSpan, Times};

    fn page(legacy: &Legacy, target: &str) -> Value {
        let response = legacy.answer(&Method::GET, &target.parse().unwrap(), &HeaderMap::new(), b"");
        assert_eq!(response.status(), StatusCode::OK, "{target}: {:?}", response.body());
        serde_json::from_slice(response.body()).unwrap()
    }

    fn ids(records: &Value) -> Vec<String> {
        records.as_array().unwrap().iter().map(|order| order["id"].as_str().unwrap().to_owned()).collect()
    }

    /// The ids of a crawl by cursor, by offset and by key, which must be equal.
    fn walk(legacy: &Legacy, query: &str, size: usize) -> Vec<String> {
        let (mut by_cursor, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = page(legacy, &format!("/cursor/orders?limit={size}&{query}{cursor}"));
            by_cursor.extend(ids(&page["data"]));
            let Some(next) = page["meta"]["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={}", next.replace('+', "%2B"));
        }
        let mut by_offset = Vec::new();
        loop {
            let page = page(legacy, &format!("/offset/orders?limit={size}&{query}&offset={}", by_offset.len()));
            if ids(&page["items"]).is_empty() {
                break;
            }
            by_offset.extend(ids(&page["items"]));
            assert_eq!(page["total"], by_cursor.len());
        }
        let (mut by_key, mut key) = (Vec::new(), String::new());
        loop {
            let page = page(legacy, &format!("/keyset/orders?limit={size}&{query}{key}"));
            by_key.extend(ids(&page["data"]));
            if page["has_more"] == false {
                break;
            }
            key = format!("&starting_after={}", by_key.last().unwrap());
        }
        assert_eq!((&by_cursor, &by_key), (&by_offset, &by_offset));
        by_cursor
    }

    fn legacy(listing: Listing) -> Legacy {
        let spans = vec![
            TimeSpan { from: 1_000, until: 1_010, orders: 30, together: 4 },
            TimeSpan { from: 5_000, until: 6_000, orders: 20, together: 1 },
        ];
        let calendar = Calendar { times: Times::Spans(spans), stamp: Stamp::Unix };
        Legacy { calendar, listing, ..Legacy::of(50) }
    }

    proptest! {
        #[test]
        fn every_filter_selects_the_orders_that_a_scan_finds(
            newest: bool, size in 1_usize..20, low in 0_u64..56, high in 0_u64..56,
            lower in prop::sample::select(vec!["gte", "gt"]), upper in prop::sample::select(vec!["lte", "lt"]),
            part in prop::option::of((0_u64..5, 1_u64..5)), region in prop::option::of(0_usize..3),
        ) {
            let legacy = legacy(if newest { Listing::NewestFirst } else { Listing::OldestFirst });
            let time = |number: u64| legacy.calendar.at(number).as_secs();
            let mut query = format!("created[{lower}]={}&created[{upper}]={}", time(low), time(high));
            let (segment, segments) = part.map_or((0, 1), |(segment, segments)| (segment % segments, segments));
            if part.is_some() {
                query += &format!("&segment={segment}&total_segments={segments}");
            }
            if let Some(region) = region {
                query += &format!("&region={}", REGIONS[region]);
            }
            let kept = |number: &u64| {
                let created = time(*number);
                let above = if lower == "gte" { created >= time(low) } else { created > time(low) };
                let below = if upper == "lte" { created <= time(high) } else { created < time(high) };
                let region = region.is_none_or(|region| *number % 3 == region as u64);
                above && below && region && number % segments == segment
            };
            let mut expected: Vec<_> = (1..=50).filter(kept).map(|number| Order(number).id()).collect();
            if newest {
                expected.reverse();
            }
            prop_assert_eq!(walk(&legacy, &query, size), expected);
        }
    }

    #[test]
    fn a_cursor_continues_at_its_place_in_a_narrower_range() {
        let legacy = legacy(Listing::OldestFirst);
        let first = page(&legacy, "/cursor/orders?limit=10");
        let cursor = first["meta"]["next_cursor"].as_str().unwrap().replace('+', "%2B");
        let rest = page(&legacy, &format!("/cursor/orders?limit=100&created[lt]=5000&cursor={cursor}"));
        assert_eq!(ids(&rest["data"]), (11..=30).map(|number| Order(number).id()).collect::<Vec<_>>());
    }

    #[test]
    fn times_numbers_and_ids_are_read_in_every_spelling() {
        let legacy = Legacy::of(100);
        let count = |query: &str| page(&legacy, &format!("/offset/orders?{query}"))["total"].as_u64().unwrap();
        for (query, expected) in [
            ("created[gte]=2019-01-01", 100),
            ("created[lt]=2019-01-01T00:00:37Z", 2),
            ("created[lt]=2019-01-01T00:00:37%2B00:00", 2),
            ("created[lte]=2019-01-01T00:00:37.500Z", 5),
            ("created[gt]=1546300800", 98),
            ("created[lt]=-1", 0),
            ("created[gte]=-1", 100),
            ("created[gte]=9000000000&created[lt]=0", 0),
            ("sequence[gte]=9007199254740994&sequence[lt]=9007199254740996", 2),
            ("sequence[gte]=0", 100),
            ("sequence[gt]=99999999999999999999", 0),
            ("id[gt]=ord_000000090", 10),
            ("id[lte]=ord_000000090&id[gte]=ord_000000090", 1),
        ] {
            assert_eq!(count(query), expected, "{query}");
        }
        for query in ["created[gte]=yesterday", "id[gt]=5", "region=moon", "segment=1", "segment=2&total_segments=2"] {
            let target = format!("/offset/orders?{query}").parse().unwrap();
            let response = legacy.answer(&Method::GET, &target, &HeaderMap::new(), b"");
            assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{query}");
        }
    }

    #[test]
    fn a_million_skewed_orders_are_asked_for_by_range() {
        let legacy = Legacy::skewed();
        let page =
            page(&legacy, "/offset/orders?created[gte]=1514764800&created[lt]=1577836800&limit=1000&offset=1000");
        assert_eq!((page["total"].as_u64(), page["items"].as_array().unwrap().len()), (Some(1_100), 100));
        assert_eq!(page["items"][0]["created"].as_u64(), Some(1_546_300_800 + 365 * 86_400 * 900 / 1_000));
    }
}
