//! Rust source as tokens and comments, and the lines that belong to tests.

use std::fs;
use std::path::{Path, PathBuf};

/// A token that is no comment. Strings and characters lose their content, so that a path inside one is never taken for code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Token<'a> {
    Word(&'a str),
    /// `::`
    PathSep,
    Punct(char),
    Literal,
    Lifetime,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Spanned<'a> {
    pub(crate) token: Token<'a>,
    /// Counted from 1.
    pub(crate) line: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CommentKind {
    Plain,
    /// `///`
    Outer,
    /// `//!`
    Inner,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Comment<'a> {
    pub(crate) kind: CommentKind,
    pub(crate) text: &'a str,
    pub(crate) line: usize,
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below a folder of the repository, as (path from the root, text), in the order of their names.
pub(crate) fn rust_files(folder: &str) -> Vec<(String, String)> {
    let mut paths = Vec::new();
    collect(&root().join(folder), &mut paths);
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        (name, fs::read_to_string(path).unwrap())
    };
    paths.into_iter().map(read).collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

/// Splits a text into tokens and comments.
pub(crate) fn lex(text: &str) -> (Vec<Spanned<'_>>, Vec<Comment<'_>>) {
    let (mut tokens, mut comments) = (Vec::new(), Vec::new());
    let (mut rest, mut line) = (text, 1);
    while let Some(c) = rest.chars().next() {
        let (token, length) = match c {
            _ if rest.starts_with("//") => {
                let length = rest.find('\n').unwrap_or(rest.len());
                comments.push(comment(&rest[..length], line));
                (None, length)
            }
            _ if rest.starts_with("/*") => (None, rest.find("*/").map_or(rest.len(), |end| end + 2)),
            _ if rest.starts_with("::") => (Some(Token::PathSep), 2),
            '"' => (Some(Token::Literal), 1 + quoted(&rest[1..], '"')),
            '\'' if is_character(&rest[1..]) => (Some(Token::Literal), 1 + quoted(&rest[1..], '\'')),
            '\'' => (Some(Token::Lifetime), 1 + word(&rest[1..])),
            _ if string_prefix(rest).is_some() => (Some(Token::Literal), string_prefix(rest).unwrap_or_default()),
            c if c.is_alphabetic() || c == '_' => (Some(Token::Word(&rest[..word(rest)])), word(rest)),
            c if c.is_ascii_digit() => (Some(Token::Literal), word(rest)),
            c if c.is_whitespace() => (None, c.len_utf8()),
            c => (Some(Token::Punct(c)), c.len_utf8()),
        };
        tokens.extend(token.map(|token| Spanned { token, line }));
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    (tokens, comments)
}

fn comment(text: &str, line: usize) -> Comment<'_> {
    let (kind, text) = match (text.strip_prefix("//!"), text.strip_prefix("///")) {
        (Some(text), _) => (CommentKind::Inner, text),
        // Four slashes are a plain comment.
        (None, Some(text)) if !text.starts_with('/') => (CommentKind::Outer, text),
        _ => (CommentKind::Plain, text.trim_start_matches('/')),
    };
    Comment { kind, text: text.trim(), line }
}

fn word(text: &str) -> usize {
    text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())
}

/// Length of a string literal that begins with a prefix: `r"…"`, `r#"…"#`, `b"…"`, `br"…"`, `c"…"`, `b'…'`.
fn string_prefix(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "r", "b", "c"].into_iter().find(|prefix| {
        text.strip_prefix(prefix).is_some_and(|rest| rest.trim_start_matches('#').starts_with(['"', '\'']))
    })?;
    let after = &text[prefix.len()..];
    let hashes = after.len() - after.trim_start_matches('#').len();
    let quote = after[hashes..].chars().next()?;
    let body = prefix.len() + hashes + 1;
    match (prefix.ends_with('r'), quote) {
        (true, '"') => {
            let close = format!("\"{}", "#".repeat(hashes));
            Some(text[body..].find(&close).map_or(text.len(), |end| body + end + close.len()))
        }
        (false, _) if hashes == 0 && (quote == '"' || prefix == "b") => Some(body + quoted(&text[body..], quote)),
        _ => None,
    }
}

/// Length of a literal's content with its closing quote.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// `'x'` and `'\n'` are characters, `'a` is a lifetime.
fn is_character(after_quote: &str) -> bool {
    let mut next = after_quote.chars();
    next.next() == Some('\\') || next.next() == Some('\'')
}

/// Position behind the bracket that closes the one at `open`.
pub(crate) fn behind_group(tokens: &[Spanned<'_>], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, spanned) in tokens.iter().enumerate().skip(open) {
        match spanned.token {
            Token::Punct('(' | '[' | '{') => depth += 1,
            Token::Punct(')' | ']' | '}') => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    tokens.len()
}

#[test]
fn paths_in_strings_and_comments_are_no_code() {
    let text = "a(\"// crate::no\"); /* crate::no */ b('\"', '\\'', b'\"', r#\"\"crate::no\"#); // crate::no\n\
                fn f<'a>() { crate::third::x() }\n/// Doc.\n//! Inner.\n//// Plain.";
    let (tokens, comments) = lex(text);
    let words = tokens.iter().filter_map(|spanned| match spanned.token {
        Token::Word(word) => Some((word, spanned.line)),
        _ => None,
    });
    let expected = [("a", 1), ("b", 1), ("fn", 2), ("f", 2), ("crate", 2), ("third", 2), ("x", 2)];
    assert_eq!(words.collect::<Vec<_>>(), expected);
    let kinds: Vec<_> = comments.iter().map(|comment| (comment.kind, comment.text, comment.line)).collect();
    assert_eq!(
        kinds[1..],
        [(CommentKind::Outer, "Doc.", 3), (CommentKind::Inner, "Inner.", 4), (CommentKind::Plain, "Plain.", 5)]
    );
}
