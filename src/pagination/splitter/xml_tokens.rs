//! Cuts an XML page into its tokens (XML 1.0 §2.4–§2.8, §3.1): each leaves as a whole, in pieces of any size.

use memchr::{memchr, memmem};

use super::flaw::bad_text;
use crate::pagination::PageError;

/// Name of the format in messages.
pub(super) const XML: &str = "XML";

/// One token, without its delimiters.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum XmlToken<'a> {
    /// Text with its references.
    Text(&'a str),
    /// Content of a CDATA section, which has no references.
    Verbatim(&'a str),
    Start(&'a str),
    End(&'a str),
    /// A start tag that is its own end tag.
    Empty(&'a str),
    /// Content of `<?xml … ?>`.
    Declaration(&'a str),
    /// A comment or a processing instruction.
    Passed,
}

/// Position in the page, and the start of the token that is being read.
#[derive(Debug, Default)]
pub(super) struct XmlTokens {
    buffer: Vec<u8>,
    /// Offset in the buffer before which the token doesn't end.
    scanned: usize,
    /// Quote of the attribute value that is being read.
    quote: Option<u8>,
    /// Bytes of the page before the buffer.
    read: u64,
}

impl XmlTokens {
    /// Passes each token that the piece ends to `take`.
    pub(super) fn feed(
        &mut self,
        piece: &[u8],
        take: &mut dyn FnMut(XmlToken<'_>) -> Result<(), String>,
    ) -> Result<(), PageError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.extend_from_slice(piece);
        let mut begin = 0;
        loop {
            let at = self.read + begin as u64;
            let Some(len) = self.token_len(&buffer[begin..]).map_err(|what| bad_text(XML, at, what))? else { break };
            let token = str::from_utf8(&buffer[begin..begin + len])
                .map_err(|wrong| PageError::NotUtf8(at + wrong.valid_up_to() as u64))?;
            take(token_of(token)).map_err(|what| bad_text(XML, at, what))?;
            begin += len;
            (self.scanned, self.quote) = (0, None);
        }
        buffer.drain(..begin);
        self.read += begin as u64;
        self.buffer = buffer;
        Ok(())
    }

    /// Checks that the page does not end within a token. Returns the number of its bytes.
    pub(super) fn end(&self) -> Result<u64, PageError> {
        let end = self.read + self.buffer.len() as u64;
        let is_whole = self.buffer.trim_ascii().is_empty();
        if is_whole { Ok(end) } else { Err(bad_text(XML, end, "the text ends within a tag or text".to_owned())) }
    }

    /// Number of bytes in memory.
    pub(super) fn held_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Length of the token that `rest` begins with; `None` where it does not end there.
    fn token_len(&mut self, rest: &[u8]) -> Result<Option<usize>, String> {
        match rest {
            [b'<', b'?', ..] => Ok(self.until(rest, b"?>", 2)),
            [b'<', b'!', b'-', b'-', ..] => Ok(self.until(rest, b"-->", 4)),
            _ if rest.starts_with(CDATA) => Ok(self.until(rest, b"]]>", CDATA.len())),
            [b'<', b'!', ..] if b"<!--".starts_with(rest) || CDATA.starts_with(rest) => Ok(None),
            [b'<', b'!', ..] => {
                Err("it has a document type, which unpage refuses: entities could be of any size".to_owned())
            }
            [b'<', ..] => self.tag_len(rest),
            _ => {
                let end = memchr(b'<', &rest[self.scanned..]).map(|at| self.scanned + at);
                self.scanned = rest.len();
                Ok(end.filter(|end| *end > 0))
            }
        }
    }

    fn until(&mut self, rest: &[u8], end: &[u8], open: usize) -> Option<usize> {
        let begin = self.scanned.max(open);
        let found = memmem::find(&rest[begin.min(rest.len())..], end).map(|at| begin + at + end.len());
        self.scanned = rest.len().saturating_sub(end.len() - 1);
        found
    }

    fn tag_len(&mut self, rest: &[u8]) -> Result<Option<usize>, String> {
        for (at, byte) in rest.iter().enumerate().skip(self.scanned.max(1)) {
            match (self.quote, byte) {
                (Some(quote), byte) if quote == *byte => self.quote = None,
                (_, b'<') => return Err("a tag has `<` before its end".to_owned()),
                (None, b'"' | b'\'') => self.quote = Some(*byte),
                (None, b'>') => return Ok(Some(at + 1)),
                _ => {}
            }
        }
        self.scanned = rest.len();
        Ok(None)
    }
}

const CDATA: &[u8] = b"<![CDATA[";

/// Removes the delimiters of a whole token.
fn token_of(token: &str) -> XmlToken<'_> {
    if let Some(text) = token.strip_prefix("<![CDATA[") {
        return XmlToken::Verbatim(text.strip_suffix("]]>").unwrap_or(text));
    }
    let Some(tag) = token.strip_prefix('<').and_then(|tag| tag.strip_suffix('>')) else { return XmlToken::Text(token) };
    match tag.as_bytes() {
        [b'?', b'x', b'm', b'l', byte, ..] if byte.is_ascii_whitespace() => {
            XmlToken::Declaration(&tag[1..tag.len() - 1])
        }
        [b'?' | b'!', ..] => XmlToken::Passed,
        [b'/', ..] => XmlToken::End(&tag[1..]),
        [.., b'/'] => XmlToken::Empty(&tag[..tag.len() - 1]),
        _ => XmlToken::Start(tag),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(page: &str, piece: usize) -> Result<Vec<String>, PageError> {
        let (mut tokens, mut all) = (XmlTokens::default(), Vec::new());
        for piece in page.as_bytes().chunks(piece) {
            tokens.feed(piece, &mut |token| {
                all.push(format!("{token:?}"));
                Ok(())
            })?;
        }
        tokens.end().map(|_| all)
    }

    #[test]
    fn tokens_are_whole_in_pieces_of_any_size() {
        let page = "<?xml version='1.0'?>\n<!-- <a> --><a b='>'>x<![CDATA[<y>]] >]]><c d=\"/\"/></a >";
        let all = [
            "Declaration(\"xml version='1.0'\")",
            "Text(\"\\n\")",
            "Passed",
            "Start(\"a b='>'\")",
            "Text(\"x\")",
            "Verbatim(\"<y>]] >\")",
            "Empty(\"c d=\\\"/\\\"\")",
            "End(\"a \")",
        ];
        for piece in 1..=page.len() {
            assert_eq!(tokens(page, piece).unwrap(), all, "{piece}");
        }
    }

    #[test]
    fn document_types_and_cut_tokens_are_errors() {
        let pages =
            ["<!DOCTYPE a [<!ENTITY b \"c\">]><a/>", "<a", "<a b='", "<a><!-- ", "<![CDATA[ ]]", "<a <b>", "<a>x"];
        for page in pages {
            for piece in [1, 2, page.len()] {
                assert!(tokens(page, piece).is_err(), "{page} by {piece}");
            }
        }
    }
}
