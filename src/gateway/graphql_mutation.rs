//! Mutations in GraphQL documents, found without a parser of the language.
//!
//! ```text
//!   document:   "description" query Name($a: In = {x: 1}) @d { fields } mutation { … }
//!                             └ a definition begins at the start, and behind the closing brace of another one
//! ```

/// Returns true where a definition of the document is a mutation, or where the word stands in a document that ends inside a text or a bracket.
pub(super) fn has_mutation(document: &str) -> bool {
    document.contains("mutation") && mutation_in(document.as_bytes()).unwrap_or(true)
}

/// Returns `None` for a document that is cut.
fn mutation_in(mut rest: &[u8]) -> Option<bool> {
    let (mut depth, mut begins) = (0_usize, true);
    while let Some((&byte, behind)) = rest.split_first() {
        rest = match byte {
            b'#' => after(behind, |byte| matches!(byte, b'\n' | b'\r')),
            b'"' => behind_text(rest)?,
            b'_' | b'a'..=b'z' | b'A'..=b'Z' => {
                let (word, behind) = split_name(rest);
                if depth == 0 && begins && word == b"mutation" && opens_operation(behind) {
                    return Some(true);
                }
                begins &= depth > 0;
                behind
            }
            b'{' | b'(' | b'[' => {
                depth += 1;
                behind
            }
            b'}' | b')' | b']' => {
                depth = depth.checked_sub(1)?;
                begins = depth == 0 && byte == b'}';
                behind
            }
            _ => behind,
        };
    }
    (depth == 0).then_some(false)
}

/// Returns true where an operation goes on: its name, then variables, a directive or its fields.
fn opens_operation(rest: &[u8]) -> bool {
    let (_, rest) = split_name(behind_ignored(rest));
    matches!(behind_ignored(rest).first(), Some(b'{' | b'(' | b'@'))
}

/// Returns what follows white space, commas, comments and the byte order mark.
fn behind_ignored(mut rest: &[u8]) -> &[u8] {
    while let Some((&byte, behind)) = rest.split_first() {
        rest = match byte {
            b'#' => after(behind, |byte| matches!(byte, b'\n' | b'\r')),
            b',' | 0xef | 0xbb | 0xbf => behind,
            _ if byte.is_ascii_whitespace() => behind,
            _ => break,
        };
    }
    rest
}

fn split_name(rest: &[u8]) -> (&[u8], &[u8]) {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    rest.split_at(rest.iter().position(|byte| !is_part(byte)).unwrap_or(rest.len()))
}

fn after(rest: &[u8], is_end: impl Fn(u8) -> bool) -> &[u8] {
    rest.iter().position(|byte| is_end(*byte)).map_or(&[], |at| &rest[at + 1..])
}

/// Returns what follows the text at the start: one of a line, or of a block (`"""`).
fn behind_text(rest: &[u8]) -> Option<&[u8]> {
    let (quotes, escape): (&[u8], &[u8]) =
        if rest.starts_with(b"\"\"\"") { (b"\"\"\"", b"\\\"\"\"") } else { (b"\"", b"\\") };
    let mut rest = &rest[quotes.len()..];
    loop {
        if let Some(behind) = rest.strip_prefix(quotes) {
            return Some(behind);
        }
        let skipped = match rest.strip_prefix(escape) {
            Some(_) if quotes.len() == 1 => 2,
            Some(_) => escape.len(),
            None => 1,
        };
        rest = rest.get(skipped..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_that_is_a_mutation_is_found() {
        for document in [
            "mutation { a }",
            "mutation{a}",
            "  ,\u{feff}# mutation\nmutation Name ($x: Int) { a }",
            "mutation # {\n ,\n@d { a }",
            "query { a } mutation B { b }",
            "fragment F on T { a } # }\nmutation B { b }",
            "query ($a: In = {x: \"}\"}) @d(a: [1]) { a } mutation { b }",
            "query { a(x: \"\\\" } \") } mutation { b }",
            "query { a(x: \"\"\" \" \\\"\"\" } \"\"\") } mutation { b }",
            "\"\"\"What it does.\"\"\" mutation { b }",
            "query { a } mutation { b",
            "query { a(x: \"mutation",
            "} mutation { b }",
        ] {
            assert!(has_mutation(document), "{document}");
        }
    }

    #[test]
    fn no_other_document_and_no_other_text_is_one() {
        for text in [
            "",
            "{ a }",
            "query { mutation { id } mutations }",
            "query mutation { a }",
            "fragment mutation on mutation { a }",
            "subscription { mutation(id: 1) { a } }",
            "{ a(x: \"} mutation { b }\") }",
            "{ a(x: \"\"\"} mutation { b }\"\"\") }",
            "{ a } # mutation { b }",
            "mutation of genes",
            "mutations { a }",
            "about a mutation",
            "mutation",
        ] {
            assert!(!has_mutation(text), "{text}");
        }
    }
}
