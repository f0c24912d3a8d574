//! `codings` and `coded_streams`: the content codings of streams to clients.

use super::keywords::Words;
use super::toml_node::{TomlNode, TomlTable};

/// Content coding of a stream (RFC 9110 §8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentCoding {
    Zstd,
    Gzip,
}

/// Content codings that streams may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codings {
    /// In the order of preference; empty for none.
    pub offered: Vec<ContentCoding>,
    /// Streams that may have a content coding at a time.
    pub streams: usize,
}

static CODINGS: Words<ContentCoding> = Words(&[("zstd", ContentCoding::Zstd), ("gzip", ContentCoding::Gzip)]);

impl Default for Codings {
    fn default() -> Self {
        Self { offered: vec![ContentCoding::Zstd, ContentCoding::Gzip], streams: 256 }
    }
}

pub(super) fn read(table: &TomlTable<'_>) -> Codings {
    let default = Codings::default();
    let offered = table.or("codings", default.offered, list);
    let streams = table.or("coded_streams", default.streams, |node| usize::try_from(node.number(1)?).ok());
    if offered.is_empty() && table.get("coded_streams").is_some() && !table.notes.wrong_at("codings") {
        let hint = "leave it out, or name codings = [\"zstd\", \"gzip\"]";
        table.refuse_at::<()>("coded_streams", "no stream has a content coding: codings = []", hint);
    }
    Codings { offered, streams }
}

fn list(node: &TomlNode<'_>) -> Option<Vec<ContentCoding>> {
    if node.value.as_array().is_some_and(|codings| codings.is_empty()) {
        return Some(Vec::new());
    }
    let codings = node.each(|node| CODINGS.read(node))?;
    if codings.iter().enumerate().any(|(at, coding)| codings[..at].contains(coding)) {
        return node.refuse("the same content coding twice", "write each of them once, the preferred one first");
    }
    Some(codings)
}
