//! No Link header makes the reader panic, and what it reads is what it reads again.
#![no_main]

use http::{HeaderMap, HeaderValue, header};
use libfuzzer_sys::fuzz_target;
use unpage::pagination::link_header_parser::{Link, links};

fuzz_target!(|data: &[u8]| {
    let Ok(value) = HeaderValue::from_bytes(data) else { return };
    let field = |value| HeaderMap::from_iter([(header::LINK, value)]);
    let value = field(value);
    let Ok(found) = links(&value) else { return };
    let text = found.iter().map(written).collect::<Vec<_>>().join(", ");
    let again = HeaderValue::from_str(&text).expect("made of what a header field held");
    assert_eq!(links(&field(again)), Ok(found));
});

fn written(Link { target, params }: &Link<'_>) -> String {
    let quoted = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"");
    let params = params.iter().map(|(name, value)| format!("; {name}=\"{}\"", quoted(value)));
    format!("<{target}>{}", params.collect::<String>())
}
