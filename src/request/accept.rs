//! Which stream the `Accept` field prefers over everything else it names (RFC 9110 §12.5.1).

use http::{HeaderMap, HeaderValue, header};
use mediatype::{MediaTypeList, Name, ReadParams};

/// The media types that NDJSON goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaType {
    XNdjson,
    Ndjson,
    Jsonl,
    Jsonlines,
}

impl MediaType {
    const ALL: [Self; 4] = [Self::XNdjson, Self::Ndjson, Self::Jsonl, Self::Jsonlines];

    /// The value of a `Content-Type` field.
    pub fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::XNdjson => "application/x-ndjson",
            Self::Ndjson => "application/ndjson",
            Self::Jsonl => "application/jsonl",
            Self::Jsonlines => "application/jsonlines",
        })
    }

    /// The stream that a format's short name stands for.
    pub(super) fn of_format(format: &str) -> Option<Self> {
        match format {
            "ndjson" => Some(Self::XNdjson),
            "jsonl" => Some(Self::Jsonl),
            _ => None,
        }
    }

    /// The stream that is asked for by name, and at least as much as anything else that is. A wildcard asks for no stream:
    /// who sends `*/*` gets what they always got.
    pub(super) fn accepted(headers: &HeaderMap) -> Option<Self> {
        let mut best: Option<(f32, Self)> = None;
        let mut other = 0.0_f32;
        for field in headers.get_all(header::ACCEPT) {
            for range in MediaTypeList::new(field.to_str().ok()?).filter_map(Result::ok) {
                let quality = range.get_param(Name::new_unchecked("q")).map_or(1.0, |q| quality(q.as_str()));
                let essence = range.essence().to_string().to_ascii_lowercase();
                match Self::ALL.into_iter().find(|stream| stream.header() == essence) {
                    Some(stream) if quality > 0.0 && best.is_none_or(|(most, _)| quality > most) => {
                        best = Some((quality, stream));
                    }
                    None if !essence.contains('*') => other = other.max(quality),
                    _ => {}
                }
            }
        }
        best.filter(|(quality, _)| *quality >= other).map(|(_, stream)| stream)
    }
}

/// A malformed quality makes the range unacceptable rather than preferred.
fn quality(text: &str) -> f32 {
    text.parse().ok().filter(|quality| (0.0..=1.0).contains(quality)).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(field: &'static str) -> Option<MediaType> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(field));
        MediaType::accepted(&headers)
    }

    #[test]
    fn a_stream_is_asked_for_by_name() {
        for (field, stream) in [
            ("application/x-ndjson", MediaType::XNdjson),
            ("APPLICATION/NDJSON", MediaType::Ndjson),
            ("application/jsonl, */*", MediaType::Jsonl),
            ("application/jsonlines;q=0.5, text/*;q=0.9", MediaType::Jsonlines),
            ("application/json;q=0.9, application/x-ndjson", MediaType::XNdjson),
            ("application/json, application/x-ndjson;charset=utf-8", MediaType::XNdjson),
        ] {
            assert_eq!(accepted(field), Some(stream), "{field}");
        }
    }

    #[test]
    fn nothing_else_asks_for_one() {
        for field in [
            "*/*",
            "application/*",
            "application/json",
            "",
            "application/x-ndjson;q=0",
            "garbage, ;q=",
            "application/json, application/x-ndjson;q=0.8",
            "application/x-ndjson;q=nan",
        ] {
            assert_eq!(accepted(field), None, "{field}");
        }
        assert_eq!(MediaType::accepted(&HeaderMap::new()), None);
    }
}
