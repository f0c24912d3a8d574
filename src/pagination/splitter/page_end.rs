//! End of a page: the rest of its records, and the checks of what stands around them.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use super::Splitter;
use super::captures::RecordsState;
use super::columns::zipped;
use super::converter::Converter;
use super::flaw::{arrays_of, shown_flaw, shown_start};
use super::shape::{NoContentPage, PageShape};
use super::surroundings::Surroundings;
use super::target_tree::from_start;
use super::walker::Call;
use crate::batch::Batch;
use crate::pagination::detect::Sketch;
use crate::pagination::end_settings::may_say_more;
use crate::pagination::envelope_names::WordRole;
use crate::pagination::error_settings::{OwnWords, PageCompleteness};
use crate::pagination::error_words::{check_empty, outlook_of};
use crate::pagination::json_extract::{extract, value_of};
use crate::pagination::object_in_place::ObjectInPlace;
use crate::pagination::page::{Page, RecordHolder};
use crate::pagination::page_envelope::PageEnvelope;
use crate::pagination::{Encoding, PageError, Path, Presence, Records, RecordsShape};

/// Largest page in bytes whose sketch leaves nothing out: long strings and arrays are shortened there.
const WHOLLY_SKETCHED: u64 = 4 * 1024;

impl Splitter {
    /// Ends a page that has its records; returns the rest of them, and the text around them.
    pub fn finish(self) -> Result<Page, PageError> {
        let mut page = self.finish_any()?;
        page.missing.take().map_or(Ok(page), |missing| Err(*missing))
    }

    /// Ends the page as [`Splitter::finish`], also one that leaves its array out: [`Page::missing`] is an error unless the page is the last.
    pub fn finish_any(mut self) -> Result<Page, PageError> {
        self.utf8.finish().map_err(PageError::NotUtf8)?;
        let texts = match &self.converter {
            Some(Converter::Lines(lines)) => Some(lines.texts()),
            _ => None,
        };
        if let Some(converter) = self.converter.take() {
            let end = converter.end().map_err(|error| self.shown(error))?;
            self.feed_json(&end)?;
        }
        if let Some(preamble) = self.preamble.take() {
            self.feed_json(&preamble.finish())?;
        }
        if self.shape.is_late() {
            return self.finish_late();
        }
        self.walker.end_of_text(&mut self.output).map_err(|error| match error {
            PageError::NotJson { at, what, .. } => {
                PageError::NotJson { at, what, shown: shown_flaw(&self.start, 0, &[]) }
            }
            other => other,
        })?;
        let is_call = self.walker.call != Call::None;
        let there = self.walker.around.captures.records();
        let batch = match there {
            RecordsState::Present => self.lines(),
            RecordsState::Null | RecordsState::Absent | RecordsState::Other => Batch::default(),
        };
        if texts.is_some_and(|texts| self.has_more_than(texts)) {
            let what = "a line holds more than one JSON text".to_owned();
            return Err(PageError::NotJson { at: self.read, what, shown: shown_flaw(&self.start, 0, &[]) });
        }
        self.shape.pool.put(self.output);
        let Surroundings { captures, sketch, .. } = self.walker.around;
        let records = &self.shape.tree.records;
        let sketch = Sketch::of_page(sketch.finish(), records.may_be_page());
        let failures = &self.shape.failures;
        if self.taken == 0 && failures.words == OwnWords::Heeded {
            // An error without records is the upstream's failure under status 200: neither an empty page nor a wrong path.
            if let Some((path, value)) = captures.first_error().filter(|(path, _)| !failures.judges(&path.to_string()))
            {
                let outlook = outlook_of(value);
                return Err(PageError::ErrorInPage { path: path.clone(), value: value.clone(), outlook });
            }
            let envelope = PageEnvelope::words_of(sketch.outline(), self.asked.as_deref());
            // A page of which nothing is known has its records somewhere, and more may follow.
            let is_unknown = self.shape.tree.records.paths.is_empty();
            let role = |path: &str| WordRole::of(path.rsplit(['.', '[']).next().unwrap_or(path));
            let is_partial = |path: &str| is_unknown && role(path) == Some(WordRole::Partial);
            // A page that is read on from is no failure, and one that ends a walk is judged there.
            let says_more = |path: &str| may_say_more(self.shape.more.as_ref(), path);
            check_empty(&envelope.without(|path| failures.judges(path) || is_partial(path) || says_more(path)))?;
        }
        let holder = match there {
            RecordsState::Present => Some(captures.holder()),
            RecordsState::Null => Some(RecordHolder::Null),
            // Of several arrays that all count, others may be there.
            RecordsState::Absent if records.shape == RecordsShape::All && records.presence == Presence::Required => {
                None
            }
            RecordsState::Absent => Some(RecordHolder::Absent),
            RecordsState::Other => None,
        };
        let paths = || records.paths.iter().map(|path| format!("`{path}`")).collect::<Vec<_>>().join(", ");
        let no_records = || PageError::NoRecords { paths: paths(), arrays: arrays_of(&sketch, &self.start) };
        let holder = match holder {
            Some(holder) => holder,
            None => {
                let object = ObjectInPlace::of(records, sketch.outline(), || shown_start(&self.start));
                return Err(object.map_or_else(no_records, |object| PageError::NotAnArray { paths: paths(), object }));
            }
        };
        let is_missing = holder == RecordHolder::Absent && records.presence == Presence::Required;
        if is_missing && self.read > WHOLLY_SKETCHED {
            return Err(no_records());
        }
        let missing = is_missing.then(|| Box::new(no_records()));
        let mut fields = captures.into_fields();
        let late: Vec<&Path> = self.shape.late.iter().collect();
        if !late.is_empty() {
            let text =
                std::str::from_utf8(&self.raw).map_err(|error| PageError::NotUtf8(error.valid_up_to() as u64))?;
            let text = if is_call { text.trim_end_matches([')', ';', ' ', '\n', '\r', '\t']) } else { text };
            for (path, raw) in late.iter().zip(extract(text, &late)?) {
                if let Some(raw) = raw {
                    fields.push((*path).clone(), value_of(path, raw)?);
                }
            }
        }
        failures.check(&fields, PageCompleteness::Whole)?;
        Ok(Page { batch, fields, holder, missing, sketch, hash: self.hash.finish() })
    }

    /// Returns true if the array of these texts has more elements than texts: a line has several, with commas between them.
    fn has_more_than(&self, texts: u64) -> bool {
        self.shape.tree.records.paths.iter().all(Path::is_root) && self.taken > texts
    }

    /// Ends a page that has no content, because its status says so (204).
    pub fn finish_without_content(self) -> Result<Page, PageError> {
        match self.shape.no_content {
            NoContentPage::Empty => {
                Ok(Page { holder: RecordHolder::Absent, sketch: Bytes::from_static(b"{}").into(), ..Page::default() })
            }
            NoContentPage::Error => Err(PageError::NoContent),
        }
    }

    /// Splits a page whose records' path counts from an array's end, or names columns: the path is resolved in the whole page, or the columns
    /// become records, and then it is split.
    fn finish_late(self) -> Result<Page, PageError> {
        let text = std::str::from_utf8(&self.raw).map_err(|error| PageError::NotUtf8(error.valid_up_to() as u64))?;
        let records = &self.shape.tree.records;
        let mut paths = records.paths.iter().map(|path| from_start(path, text)).collect::<Result<Vec<_>, _>>()?;
        let mut text = Cow::Borrowed(text);
        let mut shape = records.shape;
        if shape == RecordsShape::Columns {
            text = Cow::Owned(zipped(&text, &paths)?);
            paths.truncate(1);
            shape = RecordsShape::Elements;
        }
        let fields = self.shape.tree.fields.iter().chain(&self.shape.late).cloned().collect();
        // Other formats are JSON by now.
        let encoding = if records.encoding == Encoding::Base64 { Encoding::Base64 } else { Encoding::None };
        let records = Records { paths, encoding, shape, ..records.clone() };
        let shape = PageShape::with_fields(fields, &records, &self.shape.caps, self.shape.isa);
        let PageShape { failures, more, key, .. } = (*self.shape).clone();
        let shape = Arc::new(PageShape { failures, more, key, ..shape });
        let mut splitter = Self { asked: self.asked, ..Self::new(shape) };
        splitter.feed(text.as_bytes())?;
        splitter.finish()
    }
}
