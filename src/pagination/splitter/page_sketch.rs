//! The sketch of a page: the text around the records as JSON of its own, for messages, and to see a next address that is not
//! configured.

use bytes::Bytes;

use crate::batch::Batch;

/// Largest sketch in bytes; a page with more text around its records has none.
const LARGEST: usize = 256 * 1024;

/// Most elements of an array.
pub(in crate::pagination) const LONGEST: u64 = 10_000;

/// Longest string that is kept, in bytes.
const STRING: usize = 4 * 1024;

/// Longest record that is kept, in bytes.
const RECORD: usize = 4 * 1024;

/// Records that are shown, as `null`, beside the first one.
const OTHERS: u64 = 8;

#[derive(Debug, Default)]
pub(super) struct PageSketch {
    text: Vec<u8>,
    /// Offset of the array of records, which is left out, and their number.
    records: Option<(usize, u64)>,
    first: Vec<u8>,
    is_full: bool,
    /// Offset of the string that is being added.
    string: Option<usize>,
}

impl PageSketch {
    pub(super) fn add(&mut self, part: &[u8]) {
        if self.is_full || self.text.len() + part.len() > LARGEST {
            *self = Self { is_full: true, ..Self::default() };
        } else {
            self.text.extend_from_slice(part);
        }
    }

    pub(super) fn begin_string(&mut self) {
        self.string = Some(self.text.len());
    }

    /// Adds a part of the string; a long one becomes the empty string.
    pub(super) fn add_string(&mut self, part: &[u8]) {
        let Some(start) = self.string else { return };
        if self.text.len().saturating_sub(start) + part.len() > STRING {
            self.text.truncate(start);
            self.add(b"\"\"");
            self.string = None;
        } else {
            self.add(part);
        }
    }

    pub(super) fn add_array(&mut self, elements: u64) {
        let mut text = b"[".to_vec();
        add_nulls(&mut text, elements);
        text.push(b']');
        self.add(&text);
    }

    pub(super) fn add_records(&mut self, records: u64) {
        if self.records.is_none() {
            self.records = Some((self.text.len(), records));
        } else {
            self.add_array(records);
        }
    }

    /// Shows the first record of the batch as the page's first one.
    pub(super) fn show(&mut self, batch: &Batch) {
        let start = &batch.lines()[..batch.lines().len().min(RECORD)];
        if let Some(end) = start.iter().position(|byte| *byte == b'\n') {
            self.first = start[..end].to_vec();
        }
    }

    /// The sketch as a whole JSON text; empty if it was too large.
    pub(super) fn finish(mut self) -> Bytes {
        if let Some((at, records)) = self.records.filter(|_| !self.is_full) {
            let after = self.text.split_off(at);
            self.text.push(b'[');
            self.text.extend_from_slice(&self.first);
            let others =
                if self.first.is_empty() { records.min(OTHERS) } else { records.saturating_sub(1).min(OTHERS) };
            self.text.extend_from_slice(if self.first.is_empty() || others == 0 { b"" } else { b"," });
            add_nulls(&mut self.text, others);
            self.text.push(b']');
            self.text.extend_from_slice(&after);
        }
        Bytes::from(self.text)
    }
}

fn add_nulls(text: &mut Vec<u8>, count: u64) {
    for index in 0..count.min(LONGEST) {
        text.extend_from_slice(if index == 0 { b"null" } else { b",null" });
    }
}
