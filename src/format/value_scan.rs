//! Search for the end of a JSON value whose bytes come in pieces.

use memchr::{memchr2, memchr3};

/// Value of which a part was passed. Its grammar is not checked, as in [`super::json_members`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ValueScan {
    kind: ScannedKind,
    /// Opened brackets of the value's own kind; those of the other kind are balanced within.
    depth: usize,
    place: ScanPlace,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ScannedKind {
    Text,
    Object,
    Array,
    /// A number or a literal.
    Plain,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ScanPlace {
    Outside,
    InString,
    AfterBackslash,
}

impl ValueScan {
    /// Makes the scan of a value with this first byte, which it has not passed; none for a byte that begins no value.
    pub(super) fn of(first: u8) -> Option<Self> {
        let kind = match first {
            b'"' => ScannedKind::Text,
            b'{' => ScannedKind::Object,
            b'[' => ScannedKind::Array,
            b',' | b':' | b'}' | b']' => return None,
            _ => ScannedKind::Plain,
        };
        Some(Self { kind, depth: 0, place: ScanPlace::Outside })
    }

    /// Passes the bytes of the value. Returns their number if its end is among them.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.kind == ScannedKind::Plain {
            return bytes.iter().position(|byte| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\r'));
        }
        let mut at = 0;
        while at < bytes.len() {
            match self.place {
                ScanPlace::AfterBackslash => {
                    at += 1;
                    self.place = ScanPlace::InString;
                }
                ScanPlace::InString => {
                    at += memchr2(b'"', b'\\', &bytes[at..])? + 1;
                    self.place = if bytes[at - 1] == b'"' { ScanPlace::Outside } else { ScanPlace::AfterBackslash };
                    if self.place == ScanPlace::Outside && self.depth == 0 {
                        return Some(at);
                    }
                }
                ScanPlace::Outside => {
                    let [open, close] = if self.kind == ScannedKind::Array { *b"[]" } else { *b"{}" };
                    at += memchr3(b'"', open, close, &bytes[at..])? + 1;
                    match bytes[at - 1] {
                        b'"' => self.place = ScanPlace::InString,
                        byte if byte == open => self.depth += 1,
                        _ => self.depth = self.depth.saturating_sub(1),
                    }
                    if self.place == ScanPlace::Outside && self.depth == 0 {
                        return Some(at);
                    }
                }
            }
        }
        None
    }
}
