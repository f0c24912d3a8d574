//! White space between the tokens of JSON (RFC 8259 § 2).

/// Offset of the first byte from `place` on that is no white space.
#[inline(always)]
pub(super) fn space_at(text: &[u8], mut place: usize) -> usize {
    while text.get(place).is_some_and(|byte| is_space(*byte)) {
        place += 1;
    }
    place
}

#[inline(always)]
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Removes white space outside strings in place; returns the new length.
pub(super) fn drop_space(record: &mut [u8]) -> usize {
    let (mut write, mut in_string, mut escaped) = (0, false, false);
    for read in 0..record.len() {
        let byte = record[read];
        if in_string || byte != b' ' {
            record[write] = byte;
            write += 1;
        }
        if escaped {
            escaped = false;
        } else if byte == b'"' {
            in_string = !in_string;
        } else {
            escaped = in_string && byte == b'\\';
        }
    }
    write
}
