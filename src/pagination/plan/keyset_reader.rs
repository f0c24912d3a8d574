//! Reader of the keys behind which the pages of a keyset begin. It refuses keys that are none: equal ones, and those out of their order.

use super::key_order::KeyOrder;
use crate::pagination::error::{PageError, excerpt};
use crate::pagination::keys::KeyReader;
use crate::pagination::path::Path;
use crate::pagination::settings::ConsistencyLevel;
use crate::pagination::styles::{KeyUse, Keyset};

#[derive(Debug)]
pub(super) struct KeysetReader {
    paths: Vec<Path>,
    readers: Vec<KeyReader>,
    usage: KeyUse,
    order: KeyOrder,
    /// Keys out of their order are refused.
    watches_order: bool,
    /// Key of the record before it and the one that is read.
    before: Vec<u8>,
    text: Vec<u8>,
}

/// Key of a record as JSON, of several values as an array.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeysetText<'a> {
    pub(super) text: &'a [u8],
    /// The record before it in the page has the same.
    pub(super) is_equal: bool,
}

/// Relation of a page to the records before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PageOrder {
    /// They come before it in the list.
    Forward,
    /// It begins in front of some of them.
    Back,
}

impl KeysetReader {
    pub(super) fn new(keyset: &Keyset, level: Option<ConsistencyLevel>) -> Self {
        Self {
            paths: keyset.key.clone(),
            readers: keyset.key.iter().map(KeyReader::new).collect(),
            usage: keyset.usage,
            order: KeyOrder::default(),
            watches_order: keyset.usage != KeyUse::LookedUp && level != Some(ConsistencyLevel::None),
            before: Vec::new(),
            text: Vec::new(),
        }
    }

    pub(super) fn usage(&self) -> KeyUse {
        self.usage
    }

    pub(super) fn start_page(&mut self, order: PageOrder) {
        self.text.clear();
        if order == PageOrder::Back {
            self.order.forget_last();
        }
    }

    /// Reads the key of the next record; `None` where a value is missing.
    pub(super) fn read(&mut self, line: &[u8]) -> Result<Option<KeysetText<'_>>, PageError> {
        std::mem::swap(&mut self.before, &mut self.text);
        self.text.clear();
        for (at, reader) in self.readers.iter().enumerate() {
            let Some(value) = reader.read(line)? else {
                self.text.clear();
                return Ok(None);
            };
            if at == 0 && self.watches_order && !self.order.admits(value) {
                let (before, after) = (shown(self.order.last()), shown(value));
                return Err(PageError::KeyFalls { path: self.paths[0].clone(), before, after });
            }
            if self.readers.len() > 1 {
                self.text.push(if at == 0 { b'[' } else { b',' });
            }
            self.text.extend_from_slice(value);
        }
        if self.readers.len() > 1 {
            self.text.push(b']');
        }
        Ok(Some(KeysetText { text: &self.text, is_equal: self.text == self.before }))
    }

    /// Error for the last key, which two records have.
    pub(super) fn ties(&self) -> PageError {
        let paths = self.paths.iter().map(|path| format!("`{path}`")).collect::<Vec<_>>().join(" and ");
        PageError::KeyTies { paths, key: shown(&self.text) }
    }

    /// Error for the last key, whose record came in front of one that it stood behind.
    pub(super) fn disordered(&self) -> PageError {
        PageError::NoOrder { key: shown(&self.text) }
    }
}

fn shown(text: &[u8]) -> String {
    excerpt(&String::from_utf8_lossy(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pagination::request::{Encode, Param};
    use crate::pagination::styles::Overlap;

    fn reader(key: &[&str], usage: KeyUse, level: Option<ConsistencyLevel>) -> KeysetReader {
        let key = key.iter().map(|path| path.parse().unwrap()).collect();
        let param = Param::Query("after".to_owned());
        KeysetReader::new(&Keyset { key, param, encode: Encode::Plain, overlap: Overlap::None, usage }, level)
    }

    #[test]
    fn several_values_are_one_key_and_the_first_shows_the_order() {
        let mut reader = reader(&["at", "id"], KeyUse::Unknown, None);
        let text = reader.read(br#"{"at":"t1","id":7}"#).unwrap().unwrap();
        assert_eq!((std::str::from_utf8(text.text).unwrap(), text.is_equal), (r#"["t1",7]"#, false));
        assert!(!reader.read(br#"{"at":"t1","id":3}"#).unwrap().unwrap().is_equal);
        assert!(reader.read(br#"{"at":"t1","id":3}"#).unwrap().unwrap().is_equal);
        let PageError::KeyTies { paths, key } = reader.ties() else { panic!("no tie") };
        assert_eq!((paths.as_str(), key.as_str()), ("`at` and `id`", r#"["t1",3]"#));
        assert!(reader.read(br#"{"at":"t1"}"#).unwrap().is_none());
    }

    #[test]
    fn a_key_that_falls_names_both_values_unless_records_are_looked_up_or_nothing_is_watched() {
        const NONE: Option<ConsistencyLevel> = Some(ConsistencyLevel::None);
        for (usage, level, falls) in [
            (KeyUse::Unknown, None, true),
            (KeyUse::Compared, Some(ConsistencyLevel::Repair), true),
            (KeyUse::LookedUp, None, false),
            (KeyUse::Unknown, NONE, false),
            (KeyUse::Compared, NONE, false),
        ] {
            let mut reader = reader(&["id"], usage, level);
            for id in 1..=9 {
                reader.read(format!("{{\"id\":{id}}}").as_bytes()).unwrap();
            }
            reader.start_page(PageOrder::Forward);
            match reader.read(br#"{"id":4}"#) {
                Err(PageError::KeyFalls { before, after, .. }) => {
                    assert_eq!((before.as_str(), after.as_str(), falls), ("9", "4", true));
                }
                read => assert!(read.is_ok() && !falls),
            }
        }
    }
}
