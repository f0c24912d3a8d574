//! `Range` header field with a unit of the upstream's own (RFC 9110 §14).

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::addressing::{Address, AddressContext, Addressing, PageAnswer, Start};
use super::config_keys::{KeyKind, KeyMistake, KeyNeed, StyleKey, StyleSchema, StyleValue, StyleValues};
use super::style_rules::{ReadStyle, StyleEnd, StyleRules};
use crate::pagination::content_range::{ContentRange, content_range};
use crate::pagination::error::PageError;
use crate::pagination::page::Head;
use crate::pagination::proof::Proof;
use crate::pagination::value_source::Source;

/// Pages that are ranges of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeHeader {
    pub unit: String,
    /// Records per page.
    pub size: u64,
}

impl ReadStyle for RangeHeader {
    const SCHEMA: StyleSchema = StyleSchema {
        name: "range",
        keys: &[
            StyleKey::TYPE,
            StyleKey::new("unit", KeyKind::Text)
                .with_need(KeyNeed::Required("write unit = \"items\", as the API's Accept-Ranges says")),
            StyleKey::new("size", KeyKind::Number { least: 1 })
                .with_need(KeyNeed::Required("say how many records to ask for: size = 100")),
        ],
    };

    fn read(values: &mut StyleValues, _: &mut Vec<KeyMistake>) -> Option<Self> {
        Some(Self { unit: values.text("unit")?, size: values.number("size")? })
    }
}

impl RangeHeader {
    fn address(&self, context: AddressContext<'_>, number: u64) -> Result<Address, PageError> {
        let last = number.saturating_add(self.size.max(1) - 1);
        let range = HeaderValue::from_str(&format!("{}={number}-{last}", self.unit))
            .map_err(|_| PageError::BadRange(format!("the unit `{}` is not a token", self.unit)))?;
        let mut request = context.first.clone();
        request.headers.insert(header::RANGE, range);
        Ok(Address::new(request, number))
    }
}

impl StyleRules for RangeHeader {
    fn values(&self) -> StyleValues {
        let (unit, size) = (StyleValue::Text(self.unit.clone()), StyleValue::Number(self.size));
        StyleValues::from([("unit", unit), ("size", size)])
    }

    fn addressing(&self) -> Addressing {
        Addressing::RecordNumber
    }

    fn headers(&self) -> Vec<HeaderName> {
        vec![header::RANGE]
    }

    fn first(&self, context: AddressContext<'_>) -> Result<(Address, Start), PageError> {
        Ok((self.address(context, 0)?, Start::Beginning))
    }

    fn next(&self, context: AddressContext<'_>, answer: PageAnswer<'_>) -> Result<Option<Address>, PageError> {
        self.address(context, context.number.saturating_add(answer.records)).map(Some)
    }

    fn predict(&self, context: AddressContext<'_>, number: u64) -> Option<Address> {
        self.address(context, number).ok()
    }

    fn advances_by_records(&self) -> bool {
        true
    }

    /// `Content-Range` must name the range that was asked for: its records are none of another place.
    fn check_head(&self, context: AddressContext<'_>, head: &Head, pages: u64) -> Result<(), PageError> {
        let bad = |what: String| Err(PageError::BadRange(what));
        match content_range(&head.headers)? {
            Some(ContentRange { span: Some((first, last)), .. }) if first != context.number => {
                bad(format!("Content-Range says {first}-{last} where records from {} were asked for", context.number))
            }
            // RFC 9110 §14.2: a server that ignores the range sends the whole, with 200 and without Content-Range.
            None if head.status == StatusCode::PARTIAL_CONTENT => bad("206 without Content-Range".to_owned()),
            None if pages > 0 => bad("200 for the whole where earlier answers were ranges".to_owned()),
            _ => Ok(()),
        }
    }

    fn end(&self, answer: PageAnswer<'_>) -> Result<StyleEnd, PageError> {
        let bad = |what: String| PageError::BadRange(what);
        let Some(range) = content_range(&answer.head.headers)? else { return Ok(StyleEnd::Whole) };
        if range.span.is_none() && answer.records == 0 {
            // Even an empty answer says how many records there are, and those that came are compared with it.
            return Ok(match range.total {
                Some(_) => StyleEnd::Range { total: range.total, is_last: true },
                None => StyleEnd::Proven(Proof::EmptyPage),
            });
        }
        let (first, last) = range.span.ok_or_else(|| bad("records without a range in Content-Range".to_owned()))?;
        if last - first + 1 != answer.records {
            return Err(bad(format!("{} records where Content-Range says {first}-{last}", answer.records)));
        }
        Ok(StyleEnd::Range { total: range.total, is_last: range.total.is_some_and(|total| last + 1 >= total) })
    }

    fn end_by_refusal(&self, status: StatusCode, headers: &HeaderMap) -> Result<Option<Proof>, PageError> {
        if status != StatusCode::RANGE_NOT_SATISFIABLE {
            return Ok(None);
        }
        let total = content_range(headers)?.and_then(|range| range.total);
        let total = total.ok_or_else(|| PageError::BadRange("416 without the collection's length".to_owned()))?;
        Ok(Some(Proof::Total(total)))
    }

    /// `Content-Range` always has the place of the total, so that no configuration has to name it.
    fn total(&self) -> Option<&'static Source> {
        static CONTENT_RANGE: Source = Source::Header(header::CONTENT_RANGE);
        Some(&CONTENT_RANGE)
    }

    fn confirms_totals(&self) -> bool {
        false
    }

    fn own_size(&self) -> Option<u64> {
        Some(self.size)
    }
}
