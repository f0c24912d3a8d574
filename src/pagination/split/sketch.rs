//! What stands around the records, as a JSON text of its own: for messages, and to see whether a misconfigured page plainly
//! points elsewhere.

use bytes::Bytes;

use crate::batch::Batch;

/// The most of it that is kept; a page that has more around its records is not sketched at all.
const ROOM: usize = 256 * 1024;

/// Longer arrays are cut to as many elements.
pub(in crate::pagination) const LONGEST: u64 = 10_000;

/// A string that is shown as it is.
const STRING: usize = 4 * 1024;

/// The most bytes of a record that is shown as it is.
const RECORD: usize = 4 * 1024;

/// As many records are shown beside the first one.
const OTHERS: u64 = 8;

#[derive(Debug, Default)]
pub(super) struct PageSketch {
    text: Vec<u8>,
    /// Where the array of records stands, which is left out, and how many there are.
    records: Option<(usize, u64)>,
    first: Vec<u8>,
    is_full: bool,
    /// Where the string stands that is being added.
    string: Option<usize>,
}

impl PageSketch {
    /// Adds a part of the page.
    pub(super) fn add(&mut self, part: &[u8]) {
        if self.is_full || self.text.len() + part.len() > ROOM {
            *self = Self { is_full: true, ..Self::default() };
        } else {
            self.text.extend_from_slice(part);
        }
    }

    /// What is added next is a string.
    pub(super) fn begin_string(&mut self) {
        self.string = Some(self.text.len());
    }

    /// Adds a part of the string; of a long one, only that it was there.
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

    /// Adds an array that was passed over.
    pub(super) fn add_array(&mut self, elements: u64) {
        let mut text = b"[".to_vec();
        add_nulls(&mut text, elements);
        text.push(b']');
        self.add(&text);
    }

    /// The array of records stood here.
    pub(super) fn add_records(&mut self, records: u64) {
        if self.records.is_none() {
            self.records = Some((self.text.len(), records));
        } else {
            self.add_array(records);
        }
    }

    /// The first record is the first of these.
    pub(super) fn show(&mut self, batch: &Batch) {
        let start = &batch.lines()[..batch.lines().len().min(RECORD)];
        if let Some(end) = start.iter().position(|byte| *byte == b'\n') {
            self.first = start[..end].to_vec();
        }
    }

    /// The sketch, as a whole JSON text; nothing where there was too much.
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
