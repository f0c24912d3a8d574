//! Stream that the `Accept` field prefers to everything else it names (RFC 9110 §12.5.1).

use http::{HeaderMap, HeaderValue, header};
use mediatype::{MediaTypeList, Name, ReadParams};

use crate::format::Format;

/// Media type under which a stream is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaType {
    format: Format,
    essence: &'static str,
    end: EndMark,
}

/// Way in which a stream tells its end in band.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EndMark {
    /// Not at all: a stream that ends cleanly is complete.
    #[default]
    None,
    /// By one more line, with the verdict or the failure.
    Marker,
}

impl MediaType {
    pub fn format(self) -> Format {
        self.format
    }

    pub fn end(self) -> EndMark {
        self.end
    }

    /// Returns the media type with an end marker.
    pub(super) fn marked(self) -> Self {
        Self { end: EndMark::Marker, ..self }
    }

    /// Returns the value of `Content-Type`.
    pub fn content_type(self) -> HeaderValue {
        match self.end {
            EndMark::None if self.format.parameters().is_empty() => HeaderValue::from_static(self.essence),
            EndMark::None => {
                let text = format!("{}{}", self.essence, self.format.parameters());
                HeaderValue::try_from(text).expect("a media type is ASCII")
            }
            EndMark::Marker => {
                HeaderValue::try_from(format!("{};end=marker", self.essence)).expect("a media type is ASCII")
            }
        }
    }

    /// Returns type and subtype, in lower case.
    pub fn essence(self) -> &'static str {
        self.essence
    }

    /// Returns the media type with this short name, for clients that can't set `Accept`.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        Format::of_name(name).map(|(format, essence)| Self { format, essence, end: EndMark::None })
    }

    /// Returns the short names of all formats, for messages.
    pub fn known_names() -> String {
        let names = Format::ALL.iter().flat_map(|format| format.names());
        names.map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    }

    fn of_essence(text: &str) -> Option<Self> {
        let found = |format: Format| {
            format.accepted().iter().find(|essence| **essence == text).map(|essence| (format, *essence))
        };
        Format::ALL.iter().copied().find_map(found).map(|(format, essence)| Self {
            format,
            essence,
            end: EndMark::None,
        })
    }

    /// Returns the stream that is named, and preferred to anything else that is named. A wildcard names no stream: a client that sends `*/*`
    /// gets the upstream's own answer.
    pub(super) fn accepted(headers: &HeaderMap) -> Option<Self> {
        let mut best: Option<(f32, Self)> = None;
        let mut other = 0.0_f32;
        for field in headers.get_all(header::ACCEPT) {
            for range in MediaTypeList::new(field.to_str().ok()?).filter_map(Result::ok) {
                let quality = range.get_param(Name::new_unchecked("q")).map_or(1.0, |q| quality(q.as_str()));
                let essence = range.essence().to_string().to_ascii_lowercase();
                match Self::of_essence(&essence) {
                    Some(stream) if quality > 0.0 && best.is_none_or(|(most, _)| quality > most) => {
                        let marker =
                            range.get_param(Name::new_unchecked("end")).is_some_and(|end| end.as_str() == "marker");
                        best = Some((quality, if marker { stream.marked() } else { stream }));
                    }
                    None if !essence.contains('*') => other = other.max(quality),
                    _ => {}
                }
            }
        }
        best.filter(|(quality, _)| *quality >= other).map(|(_, stream)| stream)
    }

    /// Returns `true` where NDJSON is excluded by name, or together with everything else.
    pub(super) fn excludes_ndjson(headers: &HeaderMap) -> bool {
        let fields = headers.get_all(header::ACCEPT).iter().filter_map(|field| field.to_str().ok());
        fields.flat_map(MediaTypeList::new).filter_map(Result::ok).any(|range| {
            let essence = range.essence().to_string().to_ascii_lowercase();
            let is_excluded = range.get_param(Name::new_unchecked("q")).is_some_and(|q| quality(q.as_str()) == 0.0);
            is_excluded && (essence == "*/*" || Format::Ndjson.accepted().contains(&essence.as_str()))
        })
    }
}

impl Default for MediaType {
    fn default() -> Self {
        let format = Format::default();
        Self { format, essence: format.names()[0].1, end: EndMark::None }
    }
}

/// A malformed quality makes the range unacceptable rather than preferred.
fn quality(text: &str) -> f32 {
    text.parse().ok().filter(|quality| (0.0..=1.0).contains(quality)).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(field: &'static str) -> Option<&'static str> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(field));
        MediaType::accepted(&headers).map(MediaType::essence)
    }

    #[test]
    fn a_stream_is_asked_for_by_name() {
        for (field, stream) in [
            ("application/x-ndjson", "application/x-ndjson"),
            ("APPLICATION/NDJSON", "application/ndjson"),
            ("application/jsonl, */*", "application/jsonl"),
            ("application/jsonlines;q=0.5, text/*;q=0.9", "application/jsonlines"),
            ("application/json;q=0.9, application/x-ndjson", "application/x-ndjson"),
            ("application/json, application/x-ndjson;charset=utf-8", "application/x-ndjson"),
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
