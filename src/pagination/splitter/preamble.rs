//! Text in front of a page's JSON: a prefix against JSON hijacking, or the call of a function (JSONP). Both are no part of the JSON, which
//! still has to be whole behind them.

use bytes::Bytes;

/// Prefixes that browsers can't run past; line breaks and commas may follow.
const PREFIXES: [&str; 6] = [")]}'", "while(1);", "while (1);", "for(;;);", "for (;;);", "throw 1;"];

/// Most bytes in front of a call's bracket.
const CALL: usize = 256;

/// Start of a page, as long as it may be a preamble.
#[derive(Debug, Default)]
pub(super) struct Preamble(Vec<u8>);

/// Start of the JSON behind a preamble.
pub(super) struct BegunJson {
    pub(super) json: Vec<u8>,
    /// `)` and `;` follow behind the JSON.
    pub(super) is_call: bool,
}

impl Preamble {
    /// Returns true if the page begins with this piece, and that with JSON.
    pub(super) fn is_none_before(&self, piece: &[u8]) -> bool {
        self.0.is_empty() && piece.trim_ascii_start().first().is_some_and(|byte| is_opening(*byte))
    }

    /// Takes the next piece; returns the start of the JSON once it is known.
    pub(super) fn feed(&mut self, piece: &[u8]) -> Option<BegunJson> {
        self.0.extend_from_slice(piece);
        let text = self.0.trim_ascii_start();
        let plain = |json: &[u8]| Some(BegunJson { json: json.to_vec(), is_call: false });
        if is_opening(*text.first()?) {
            return plain(&self.0);
        }
        for prefix in PREFIXES.map(str::as_bytes) {
            if let Some(rest) = text.strip_prefix(prefix) {
                let json = rest.trim_ascii_start();
                let json = json.strip_prefix(b",").unwrap_or(json).trim_ascii_start();
                // A comma may follow.
                return if json.is_empty() { None } else { plain(json) };
            }
            if prefix.starts_with(text) {
                return None;
            }
        }
        match text.iter().position(|byte| !is_callee(*byte)) {
            Some(at) if text[at] == b'(' => Some(BegunJson { json: text[at + 1..].to_vec(), is_call: true }),
            None if text.len() < CALL => None,
            _ => plain(&self.0),
        }
    }

    /// The whole page, where it ends within what may be a preamble.
    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// JSON of a whole page, without what stands in front of it, and behind it where it is a call.
pub(crate) fn json_of(page: &Bytes) -> Bytes {
    let mut preamble = Preamble::default();
    if preamble.is_none_before(page) {
        return page.clone();
    }
    let Some(begun) = preamble.feed(page) else { return page.clone() };
    let json = page.slice(page.len() - begun.json.len()..);
    let is_behind = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b')' | b';');
    let behind = json.iter().rev().take_while(|byte| begun.is_call && is_behind(byte)).count();
    json.slice(..json.len() - behind)
}

/// Returns true for a byte that begins a JSON text, and no preamble.
fn is_opening(byte: u8) -> bool {
    matches!(byte, b'{' | b'[' | b'"' | b'-' | b'0'..=b'9')
}

/// Returns true for a byte in front of a call's bracket: of a name, or of the comment and the check that Express puts before it.
fn is_callee(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_$. /*='&".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_and_calls_are_removed_in_pieces_of_any_size() {
        for (page, json, is_call) in [
            ("[1]", "[1]", false),
            (" {}", " {}", false),
            (")]}'\n[1]", "[1]", false),
            (")]}',\n[1]", "[1]", false),
            ("while(1);[1]", "[1]", false),
            ("for (;;);{}", "{}", false),
            ("cb([1]);", "[1]);", true),
            ("/**/ typeof a.b === 'function' && a.b({});", "{});", true),
            ("null", "null", false),
            ("<html>", "<html>", false),
        ] {
            for size in 1..=page.len() {
                let (mut preamble, mut read, mut call) = (Some(Preamble::default()), Vec::new(), false);
                for piece in page.as_bytes().chunks(size) {
                    match preamble.as_mut().map(|preamble| preamble.feed(piece)) {
                        None => read.extend_from_slice(piece),
                        Some(None) => {}
                        Some(Some(begun)) => (preamble, read, call) = (None, begun.json, begun.is_call),
                    }
                }
                read.extend(preamble.map(Preamble::finish).unwrap_or_default());
                assert_eq!((String::from_utf8(read).unwrap().as_str(), call), (json, is_call), "{page} by {size}");
            }
            let alone = json_of(&Bytes::from_static(page.as_bytes()));
            assert_eq!(alone, json.trim_end_matches([')', ';']), "{page}");
        }
    }
}
