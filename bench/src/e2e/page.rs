//! Pages of any number and size that cost no memory: each has a first record of its own, the rest is shared by many.

use bytes::Bytes;

use crate::corpora::{Corpus, Maker};

/// Number of blocks of records that the pages use in turn, so that neighbours differ.
const BLOCKS: usize = 8;

/// The largest block; a larger page repeats it.
const LARGEST: usize = 1 << 20;

/// A collection as it is sent.
#[derive(Debug)]
pub struct Collection {
    /// Each page's first record, which keeps it from being a repeat.
    firsts: Vec<String>,
    blocks: Vec<Block>,
    /// Repetitions of its block in a page.
    repeats: usize,
}

/// Some records.
#[derive(Debug, Default)]
struct Block {
    /// Each with a comma in front of it.
    elements: Bytes,
    /// Each with a line feed behind it.
    lines: Bytes,
    records: usize,
}

impl Collection {
    /// This many pages of about this many bytes.
    pub fn new(corpus: Corpus, pages: usize, page_bytes: usize) -> Self {
        Self::of_blocks(corpus, pages, page_bytes, BLOCKS)
    }

    /// The same, in which no record comes twice.
    pub fn distinct(corpus: Corpus, pages: usize, page_bytes: usize) -> Self {
        Self::of_blocks(corpus, pages, page_bytes, pages)
    }

    fn of_blocks(corpus: Corpus, pages: usize, page_bytes: usize, blocks: usize) -> Self {
        let mut maker = Maker::new(corpus);
        let repeats = page_bytes.div_ceil(LARGEST);
        let blocks = (0..blocks.min(pages)).map(|_| Block::new(&mut maker, page_bytes / repeats)).collect();
        let firsts = (0..pages).map(|_| record(&mut maker)).collect();
        Self { firsts, blocks, repeats }
    }

    /// This many pages of one record of about this many bytes.
    pub fn large(pages: usize, record_bytes: usize) -> Self {
        let text = "x".repeat(record_bytes);
        let firsts = (0..pages).map(|page| format!(r#"{{"id":{page},"text":"{text}"}}"#)).collect();
        Self { firsts, blocks: vec![Block::default()], repeats: 0 }
    }

    pub fn pages(&self) -> usize {
        self.firsts.len()
    }

    /// Number of records of all pages.
    pub fn records(&self) -> usize {
        (0..self.pages()).map(|page| self.records_of(page)).sum()
    }

    /// Number of records in a page.
    pub fn records_of(&self, page: usize) -> usize {
        1 + self.block(page).records * self.repeats
    }

    /// The page that starts with this record; the number of pages if that is the end.
    pub fn page_at(&self, offset: usize) -> Option<usize> {
        let mut start = 0;
        for page in 0..self.pages() {
            if start == offset {
                return Some(page);
            }
            start += self.records_of(page);
        }
        (start == offset).then_some(self.pages())
    }

    /// Size of all pages as NDJSON, in bytes.
    pub fn output(&self) -> u64 {
        (0..self.pages()).map(|page| self.lines(page).iter().map(|lines| lines.len() as u64).sum::<u64>()).sum()
    }

    /// The elements of a page's record array.
    pub fn elements(&self, page: usize) -> Vec<Bytes> {
        let first = Bytes::from(self.firsts[page].clone());
        std::iter::once(first).chain(std::iter::repeat_n(self.block(page).elements.clone(), self.repeats)).collect()
    }

    /// The same as lines.
    pub fn lines(&self, page: usize) -> Vec<Bytes> {
        let first = Bytes::from(format!("{}\n", self.firsts[page]));
        std::iter::once(first).chain(std::iter::repeat_n(self.block(page).lines.clone(), self.repeats)).collect()
    }

    fn block(&self, page: usize) -> &Block {
        &self.blocks[page % self.blocks.len()]
    }
}

impl Block {
    fn new(maker: &mut Maker, bytes: usize) -> Self {
        let (mut elements, mut lines, mut records) = (String::new(), String::new(), 0);
        while elements.len() < bytes {
            let record = record(maker);
            elements.push(',');
            elements.push_str(&record);
            lines.push_str(&record);
            lines.push('\n');
            records += 1;
        }
        Self { elements: elements.into(), lines: lines.into(), records }
    }
}

fn record(maker: &mut Maker) -> String {
    let mut record = String::new();
    maker.record(&mut record).expect("a `String` takes every text");
    record
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpora::expected;

    #[test]
    fn lines_and_elements_are_the_same_records() {
        let collection = Collection::new(Corpus::Orders, 20, 3 << 20);
        assert_eq!(collection.repeats, 3);
        for page in [0, 8, 19] {
            let elements = collection.elements(page).concat();
            let page_of_them = [b"{\"data\":[".as_slice(), &elements, b"]}"].concat();
            assert_eq!(expected(&page_of_them), collection.lines(page).concat());
        }
        assert_ne!(collection.lines(0), collection.lines(8));
        assert_eq!(collection.page_at(collection.records_of(0)), Some(1));
        assert_eq!(collection.page_at(collection.records()), Some(20));
        assert_eq!(collection.page_at(1), None);
    }
}
