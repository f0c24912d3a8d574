//! Part of a stream: the `Range` field (RFC 9110 §14.2), in bytes or in records.

use http::{HeaderMap, header};

use super::RequestError;

/// A part of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// `bytes=…`
    Bytes(RangeSpec),
    /// `records=…`: whole records, counted from 0.
    Records(RangeSpec),
}

/// Positions of a range, which includes both of its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeSpec {
    /// `N-`
    From(u64),
    /// `A-B`, A ≤ B
    Within(u64, u64),
    /// `-N`: the last N.
    Last(u64),
}

impl Range {
    /// Reads the only range of a request. A malformed one or one in another unit is ignored (RFC 9110 §14.2).
    pub(super) fn read(headers: &HeaderMap) -> Result<Option<Self>, RequestError> {
        let mut fields = headers.get_all(header::RANGE).iter();
        // `Range` is no list field, so that two of them are malformed.
        let (Some(field), None) = (fields.next(), fields.next()) else { return Ok(None) };
        let Some((unit, set)) = field.to_str().ok().and_then(|field| field.split_once('=')) else { return Ok(None) };
        let unit = [("bytes", Self::Bytes as fn(RangeSpec) -> Self), ("records", Self::Records)]
            .into_iter()
            .find(|(name, _)| unit.eq_ignore_ascii_case(name));
        let Some((_, unit)) = unit else { return Ok(None) };
        let spans = set.split(',').map(|span| span.trim_matches([' ', '\t'])).filter(|span| !span.is_empty());
        match spans.map(RangeSpec::read).collect::<Option<Vec<_>>>().as_deref() {
            Some([span]) => Ok(Some(unit(*span))),
            Some([_, _, ..]) => Err(RequestError::Ranges),
            _ => Ok(None),
        }
    }
}

impl RangeSpec {
    fn read(text: &str) -> Option<Self> {
        match text.split_once('-')? {
            ("", last) => Some(Self::Last(number(last)?)),
            (first, "") => Some(Self::From(number(first)?)),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::Within(first, last))
            }
        }
    }
}

/// Reads digits. A number above [`u64::MAX`] lies past every end, as that one does.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn read(fields: &[&str]) -> Result<Option<Range>, RequestError> {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(header::RANGE, HeaderValue::from_str(field).unwrap());
        }
        Range::read(&headers)
    }

    #[test]
    fn one_range_is_read_in_its_spellings() {
        for (field, range) in [
            ("bytes=0-", Range::Bytes(RangeSpec::From(0))),
            ("BYTES=7-", Range::Bytes(RangeSpec::From(7))),
            ("bytes=, 7-9 ,\t,", Range::Bytes(RangeSpec::Within(7, 9))),
            ("bytes=7-7", Range::Bytes(RangeSpec::Within(7, 7))),
            ("bytes=-5", Range::Bytes(RangeSpec::Last(5))),
            ("bytes=0018446744073709551616-", Range::Bytes(RangeSpec::From(u64::MAX))),
            ("records=3-4", Range::Records(RangeSpec::Within(3, 4))),
            ("Records=3-", Range::Records(RangeSpec::From(3))),
        ] {
            assert_eq!(read(&[field]), Ok(Some(range)), "{field}");
        }
    }

    #[test]
    fn what_is_no_range_is_not_there() {
        for fields in [
            &[][..],
            &[""],
            &["bytes"],
            &["bytes="],
            &["bytes=,"],
            &["bytes=-"],
            &["bytes=1"],
            &["bytes=2-1"],
            &["bytes=+1-"],
            &["bytes=1-+2"],
            &["bytes=1 - 2"],
            &["bytes =1-2"],
            &["bytes=1--2"],
            &["bytes=0-1,x"],
            &["pages=1-2"],
            &["pages=1-2,3-4"],
            &["bytes=1-", "bytes=1-"],
        ] {
            assert_eq!(read(fields), Ok(None), "{fields:?}");
        }
    }

    #[test]
    fn several_ranges_are_refused() {
        for field in ["bytes=0-1,3-", "records=-1, 5-6", "bytes=0-0,0-0,0-0"] {
            assert_eq!(read(&[field]), Err(RequestError::Ranges), "{field}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(first in any::<u64>(), more in any::<u64>(), zeros in "0{0,3}") {
            let last = first.saturating_add(more);
            for (text, span) in [
                (format!("{zeros}{first}-"), RangeSpec::From(first)),
                (format!("{first}-{zeros}{last}"), RangeSpec::Within(first, last)),
                (format!("-{zeros}{last}"), RangeSpec::Last(last)),
            ] {
                prop_assert_eq!(read(&[&format!("bytes={text}")]), Ok(Some(Range::Bytes(span))));
                prop_assert_eq!(read(&[&format!("records={text}")]), Ok(Some(Range::Records(span))));
            }
        }

        #[test]
        fn any_text_may_stand_there(text in "(bytes=)?[-0-9a, =]{0,12}") {
            if let Ok(Some(Range::Bytes(RangeSpec::Within(first, last)))) = read(&[&text]) {
                prop_assert!(first <= last);
            }
        }
    }
}
