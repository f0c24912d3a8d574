//! The parts of each page that a pagination uses, and the buffers that its pages share.

use std::sync::Arc;

use parking_lot::Mutex;

use super::open_value::WalkOutput;
use super::simd::Isa;
use super::target_tree::{TargetTree, counts_from_end};
use crate::caps::Caps;
use crate::pagination::keys::KeyReader;
use crate::pagination::{ErrorSettings, More, Pagination, Path, Records, RecordsShape};

/// Paths and limits by which each page of a collection is split.
#[derive(Clone, Debug)]
pub struct PageShape {
    pub(super) tree: Arc<TargetTree>,
    /// Fields that contain the records, are inside of them, or count from an array's end: they are extracted from the whole page.
    pub(super) late: Vec<Path>,
    /// Reader of the records' keys, where they have one.
    pub(super) key: Option<Arc<KeyReader>>,
    pub(super) failures: ErrorSettings,
    pub(super) more: Option<More>,
    pub(super) no_content: NoContentPage,
    pub(super) caps: Caps,
    pub(super) isa: Isa,
    pub(super) pool: Arc<OutputPool>,
}

/// Meaning of an answer without content (204).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoContentPage {
    /// A page without records.
    Empty,
    Error,
}

/// Buffers of split pages, reused for the next ones.
#[derive(Debug, Default)]
pub(super) struct OutputPool(Mutex<Vec<WalkOutput>>);

impl PageShape {
    /// The shape of a pagination's pages.
    pub fn new(pagination: &Pagination, caps: &Caps) -> Self {
        Self::reading(None, pagination, caps)
    }

    /// The same, with one more value that is read of each page.
    pub fn reading(field: Option<&Path>, pagination: &Pagination, caps: &Caps) -> Self {
        let mut fields: Vec<Path> = Vec::new();
        for path in pagination.fields().into_iter().chain(field.cloned()) {
            if !fields.contains(&path) {
                fields.push(path);
            }
        }
        // Past the last of counted pages, an answer without content says what an empty array does.
        let is_page = pagination.style.is_computed() || pagination.allows_no_content();
        Self {
            key: pagination.key.as_ref().map(|key| Arc::new(KeyReader::new(key))),
            failures: pagination.failures.clone(),
            more: pagination.more.clone(),
            no_content: if is_page { NoContentPage::Empty } else { NoContentPage::Error },
            ..Self::with_fields(fields, &pagination.records, caps, Isa::best())
        }
    }

    pub(super) fn with_fields(fields: Vec<Path>, records: &Records, caps: &Caps, isa: Isa) -> Self {
        let (fields, late) = fields.into_iter().partition(|field| TargetTree::can_walk(field, records));
        Self {
            tree: Arc::new(TargetTree::new(fields, records)),
            late,
            key: None,
            failures: ErrorSettings::default(),
            more: None,
            no_content: NoContentPage::Error,
            caps: caps.clone(),
            isa,
            pool: Arc::default(),
        }
    }

    pub fn with_isa(self, isa: Isa) -> Self {
        Self { isa, pool: Arc::default(), ..self }
    }

    /// Returns whether the records' path counts from an array's end, or they stand in columns, so that they are found only in the whole page.
    pub(super) fn is_late(&self) -> bool {
        let records = &self.tree.records;
        records.shape == RecordsShape::Columns || records.paths.iter().any(counts_from_end)
    }
}

impl OutputPool {
    /// Pages that arrive at once rarely are more.
    const MOST: usize = 8;

    pub(super) fn get(&self) -> Option<WalkOutput> {
        self.0.lock().pop()
    }

    pub(super) fn put(&self, mut output: WalkOutput) {
        output.lines.forget();
        let mut outputs = self.0.lock();
        if outputs.len() < Self::MOST {
            outputs.push(output);
        }
    }
}
