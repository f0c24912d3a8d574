//! What a page's walk has found: the values at the configured paths, and which of the places for records has them.

use serde_json::value::RawValue;

use crate::pagination::json_extract::{extract, value_of};
use crate::pagination::page::PageFields;
use crate::pagination::{PageError, Path, Records};

#[derive(Debug)]
pub(super) struct Captures {
    fields: PageFields,
    /// Top-level errors that are not empty.
    errors: Vec<(Path, String)>,
    holders: Vec<HolderState>,
    chosen: Option<usize>,
}

/// What stands at a path of the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HolderState {
    NotYet,
    Null,
    Records,
    Other,
}

/// Whether a place's records are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HolderChoice {
    Yes,
    /// In place of those that came before, from a path of lower rank.
    Instead,
    No,
}

/// The place was there before.
#[derive(Debug)]
pub(super) struct DuplicateHolder;

/// How the records of a whole page are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecordsState {
    Present,
    Null,
    /// Nothing stands at any of the paths.
    Absent,
    /// A value of another type stands there.
    Other,
}

impl Captures {
    pub(super) fn new(records: &Records) -> Self {
        Self {
            fields: PageFields::default(),
            errors: Vec::new(),
            holders: vec![HolderState::NotYet; records.paths.len()],
            chosen: None,
        }
    }

    pub(super) fn fields(&self) -> &PageFields {
        &self.fields
    }

    pub(super) fn into_fields(self) -> PageFields {
        self.fields
    }

    /// The first top-level error of the page.
    pub(super) fn first_error(&self) -> Option<&(Path, String)> {
        self.errors.first()
    }

    /// Whether no path of a higher rank can turn up any more.
    pub(super) fn is_sure(&self) -> bool {
        let before = &self.holders[..self.chosen.unwrap_or(0)];
        before.iter().all(|holder| *holder != HolderState::NotYet)
    }

    /// The value at the records' path of this rank begins with `byte`.
    pub(super) fn choose_holder(
        &mut self,
        rank: usize,
        byte: u8,
        is_holder: bool,
    ) -> Result<HolderChoice, DuplicateHolder> {
        let before = std::mem::replace(
            &mut self.holders[rank],
            match byte {
                _ if is_holder => HolderState::Records,
                b'n' => HolderState::Null,
                _ => HolderState::Other,
            },
        );
        match self.chosen {
            _ if before != HolderState::NotYet => Err(DuplicateHolder),
            _ if !is_holder => Ok(HolderChoice::No),
            Some(chosen) if chosen < rank => Ok(HolderChoice::No),
            Some(_) => {
                self.chosen = Some(rank);
                Ok(HolderChoice::Instead)
            }
            None => {
                self.chosen = Some(rank);
                Ok(HolderChoice::Yes)
            }
        }
    }

    /// The value at `path` was read; `field` is that path or leads into it.
    pub(super) fn add_field(&mut self, field: &Path, path: &Path, raw: &RawValue) -> Result<(), PageError> {
        let inside = Path::of(field.segments()[path.segments().len()..].to_vec());
        let found = extract(raw.get(), &[&inside]).map_err(|wrong| match wrong {
            PageError::Duplicate(_) => PageError::Duplicate(field.clone()),
            other => other,
        })?;
        let Some(raw) = found[0] else { return Ok(()) };
        if self.fields.get(field).is_some() {
            return Err(PageError::Duplicate(field.clone()));
        }
        self.fields.push(field.clone(), value_of(field, raw)?);
        Ok(())
    }

    /// A value stands where upstreams say that they failed.
    pub(super) fn add_error(&mut self, path: &Path, raw: &RawValue) {
        if !matches!(raw.get(), "null" | "false" | "\"\"" | "[]" | "{}" | "0") {
            self.add_large_error(path, raw.get().as_bytes());
        }
    }

    /// The same where it is too long to be read to its end.
    pub(super) fn add_large_error(&mut self, path: &Path, start: &[u8]) {
        const EXCERPT: usize = 80;
        let start = String::from_utf8_lossy(&start[..start.len().min(4 * EXCERPT)]);
        let excerpt = start.chars().take(EXCERPT).map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.errors.push((path.clone(), excerpt));
    }

    /// How the records are there, now that the page is whole.
    pub(super) fn records(&self) -> RecordsState {
        let any = |wanted| self.holders.contains(&wanted);
        match self.chosen {
            Some(_) => RecordsState::Present,
            // Go's encoders write `null` for an empty list.
            None if any(HolderState::Null) => RecordsState::Null,
            None if any(HolderState::Other) => RecordsState::Other,
            None => RecordsState::Absent,
        }
    }
}
