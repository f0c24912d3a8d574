//! Context of a trace, as a header field has it.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Field of the context of a trace (W3C Trace Context §3.2).
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Place in a trace: the span that a request belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// Not 0.
    pub trace: u128,
    /// Not 0.
    pub span: u64,
    pub sampling: Sampling,
}

/// Decision of a trace's root about its spans (W3C Trace Context §3.2.2.5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sampling {
    #[default]
    Unsampled,
    Sampled,
}

impl TraceContext {
    /// Makes the context of a new trace.
    pub fn random(sampling: Sampling) -> Self {
        Self { trace: fastrand::u128(1..), span: fastrand::u64(1..), sampling }
    }

    /// Reads the context of a request; none where it has none, or a malformed one.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut parts = headers.get(TRACEPARENT)?.to_str().ok()?.split('-');
        let mut next = |digits| {
            let part = parts.next().filter(|part| part.len() == digits)?;
            let is_lower_hex = part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            u128::from_str_radix(part, 16).ok().filter(|_| is_lower_hex)
        };
        let (version, trace, span, flags) = (next(2)?, next(32)?, u64::try_from(next(16)?).ok()?, next(2)?);
        // Later versions may have more parts.
        let is_valid = version != 0xff && (version > 0 || parts.next().is_none()) && trace != 0 && span != 0;
        let sampling = if flags & 1 == 1 { Sampling::Sampled } else { Sampling::Unsampled };
        is_valid.then_some(Self { trace, span, sampling })
    }

    /// Returns the value of the field.
    pub fn field(&self) -> HeaderValue {
        let flags = u8::from(self.sampling == Sampling::Sampled);
        let text = format!("00-{}-{:016x}-{flags:02x}", self.trace_id(), self.span);
        HeaderValue::try_from(text).expect("it has digits, letters and hyphens")
    }

    /// Returns the id of the trace as 32 hexadecimal digits.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<TraceContext> {
        TraceContext::of(&HeaderMap::from_iter([(TRACEPARENT, HeaderValue::from_str(text).unwrap())]))
    }

    #[test]
    fn a_context_is_read_as_it_is_written() {
        for sampling in [Sampling::Sampled, Sampling::Unsampled] {
            let context = TraceContext::random(sampling);
            assert_eq!(TraceContext::of(&HeaderMap::from_iter([(TRACEPARENT, context.field())])), Some(context));
        }
        let context = TraceContext { trace: 0xa, span: 0xb, sampling: Sampling::Sampled };
        assert_eq!(context.field(), "00-0000000000000000000000000000000a-000000000000000b-01");
        let later = "cc-0000000000000000000000000000000a-000000000000000b-03-what-comes";
        assert_eq!(read(later), Some(context));
    }

    #[test]
    fn a_malformed_context_is_none() {
        let (trace, span) = ("0000000000000000000000000000000a", "000000000000000b");
        assert!(read(&format!("00-{trace}-{span}-00")).is_some());
        for text in [
            format!("ff-{trace}-{span}-00"),
            format!("00-{trace}-{span}-00-more"),
            format!("00-{trace}-{span}-0"),
            format!("00-{trace}-{span}-0G"),
            format!("00-{trace}-{span}"),
            format!("00-{trace}-{}-01", "0".repeat(16)),
            format!("00-{}-{span}-01", "0".repeat(32)),
            format!("00-{}-{span}-01", trace.to_uppercase()),
            format!("00-+{}-{span}-01", &trace[1..]),
            String::new(),
        ] {
            assert_eq!(read(&text), None, "{text}");
        }
    }
}
