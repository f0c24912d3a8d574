//! The check that a further attempt at a page begins with the records that have left, which are not handed out again.

use crate::batch::{Batch, LinesHash};

/// The lines of one page that have left, and the progress of the current attempt in repeating them.
#[derive(Debug, Default)]
pub(super) struct PrefixCheck {
    bytes: u64,
    records: u64,
    /// Hash of the lines that had left when the last attempt failed.
    hash: u64,
    repetition: Option<Repetition>,
}

/// An attempt that has yet to repeat the lines that an earlier one handed out.
#[derive(Debug)]
struct Repetition {
    bytes_left: u64,
    hash: LinesHash,
}

/// The page no longer begins with the records that have left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageChanged {
    pub(super) records: u64,
}

impl PrefixCheck {
    /// Begins another attempt, from the page's start.
    pub(super) fn start_over(&mut self) {
        let repetition = Repetition { bytes_left: self.bytes, hash: LinesHash::default() };
        self.repetition = Some(repetition).filter(|repetition| repetition.bytes_left > 0);
    }

    /// Returns the attempt's next records without those that have left before. They count as handed out.
    pub(super) fn pass(&mut self, batch: Batch) -> Result<Batch, PageChanged> {
        let batch = self.without_prefix(batch)?;
        self.bytes += batch.lines().len() as u64;
        self.records += batch.records();
        Ok(batch)
    }

    /// Notes the end of an attempt that failed, whose lines so far have this hash: the splitter has it already, so that a page
    /// that comes at once is not hashed for this check.
    pub(super) fn fail(&mut self, hash: u64) {
        if self.repetition.is_none() {
            self.hash = hash;
        }
    }

    /// Returns the new ones of the attempt's last records, with which it must have repeated all that has left.
    pub(super) fn pass_last(&mut self, batch: Batch) -> Result<Batch, PageChanged> {
        let batch = self.without_prefix(batch)?;
        if self.repetition.is_some() { Err(self.changed()) } else { Ok(batch) }
    }

    fn without_prefix(&mut self, batch: Batch) -> Result<Batch, PageChanged> {
        let changed = self.changed();
        let Some(repetition) = &mut self.repetition else { return Ok(batch) };
        let length = batch.lines().len() as u64;
        if length < repetition.bytes_left {
            repetition.hash.add(&batch);
            repetition.bytes_left -= length;
            return Ok(Batch::default());
        }
        #[expect(clippy::cast_possible_truncation, reason = "no more than the batch's length, which is a usize")]
        let (old, new) = batch.lines().split_at(repetition.bytes_left as usize);
        if !old.ends_with(b"\n") {
            return Err(changed);
        }
        let (old, new) = (batch.lines().slice_ref(old), batch.lines().slice_ref(new));
        repetition.hash.add(&Batch::new(old, 0));
        if repetition.hash.finish() != self.hash {
            return Err(changed);
        }
        self.repetition = None;
        let records = newlines(&new);
        Ok(Batch::new(new, records))
    }

    fn changed(&self) -> PageChanged {
        PageChanged { records: self.records }
    }
}

fn newlines(lines: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', lines).count() as u64
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn batches(lines: &[String], cuts: &[usize]) -> Vec<Batch> {
        let mut rest = lines;
        let mut batches = Vec::new();
        for cut in cuts {
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            batches.push(Batch::new(Bytes::from(now.concat()), now.len() as u64));
            rest = later;
        }
        batches.push(Batch::new(Bytes::from(rest.concat()), rest.len() as u64));
        batches
    }

    /// Attempts that break off after some batches, and a last one that is whole; each may have another record changed.
    type Attempt = (Vec<usize>, usize, Option<usize>);

    fn attempt() -> impl Strategy<Value = Attempt> {
        let changed = prop_oneof![4 => Just(None), 1 => (0..12_usize).prop_map(Some)];
        (prop::collection::vec(0..4_usize, 0..6), 0..6_usize, changed)
    }

    proptest! {
        /// The output is a prefix of the page as it was first seen, each record once. A change in records that have left is an error.
        #[test]
        fn no_record_leaves_twice_and_none_is_lost(
            sizes in prop::collection::vec(0..9_usize, 0..12),
            attempts in prop::collection::vec(attempt(), 1..5),
        ) {
            let lines: Vec<String> = sizes.iter().map(|size| format!("{}\n", "x".repeat(*size))).collect();
            let (mut prefix, mut out, mut records) = (PrefixCheck::default(), Vec::new(), 0);
            let last = attempts.len() - 1;
            for (number, (cuts, broken_after, changed)) in attempts.into_iter().enumerate() {
                let mut page = lines.clone();
                let changed = changed.filter(|at| *at < page.len());
                if let Some(at) = changed {
                    page[at] = format!("y{}", page[at]);
                }
                let had = records;
                let mut hash = LinesHash::default();
                prefix.start_over();
                let mut batches = batches(&page, &cuts);
                let end = batches.pop().unwrap_or_default();
                let whole = number == last;
                let given = if whole { batches.len() } else { broken_after.min(batches.len()) };
                let mut told = None;
                for batch in batches.into_iter().take(given) {
                    hash.add(&batch);
                    match prefix.pass(batch) {
                        Ok(batch) => { records += batch.records(); out.extend_from_slice(batch.lines()); }
                        Err(PageChanged { records: after }) => { told = Some(after); break; }
                    }
                }
                if whole && told.is_none() {
                    match prefix.pass_last(end) {
                        Ok(batch) => { records += batch.records(); out.extend_from_slice(batch.lines()); }
                        Err(PageChanged { records: after }) => told = Some(after),
                    }
                }
                let differs = changed.is_some_and(|at| (at as u64) < had);
                if let Some(after) = told {
                    prop_assert!(differs && after == had && records == had);
                    return Ok(());
                }
                prefix.fail(hash.finish());
                prop_assert!(!(whole && differs), "a changed page went through");
                if changed.is_some() {
                    // What follows compares with a page that has changed after what had left: as good as another page.
                    return Ok(());
                }
            }
            prop_assert_eq!(records, lines.len() as u64);
            prop_assert_eq!(String::from_utf8(out).unwrap(), lines.concat());
        }
    }

    #[test]
    fn a_page_that_became_shorter_has_changed() {
        let batch = |text: &'static str| Batch::new(Bytes::from_static(text.as_bytes()), text.lines().count() as u64);
        for again in ["1\n", "", "1\n222\n", "1\n20\n", "12\n"] {
            let mut prefix = PrefixCheck::default();
            prefix.pass(batch("1\n2\n")).unwrap();
            let mut hash = LinesHash::default();
            hash.add(&batch("1\n2\n"));
            prefix.fail(hash.finish());
            prefix.start_over();
            assert_eq!(prefix.pass_last(batch(again)), Err(PageChanged { records: 2 }), "{again:?}");
        }
    }
}
