//! Values at configured paths, and the path at which the records were found.

use serde_json::value::RawValue;

use crate::pagination::error::start_of;
use crate::pagination::json_extract::{extract, value_of};
use crate::pagination::page::{PageFields, RecordHolder};
use crate::pagination::{PageError, Path, Presence, Records, RecordsShape};

#[derive(Debug)]
pub(super) struct Captures {
    fields: PageFields,
    /// Top-level errors that are not empty.
    errors: Vec<(Path, String)>,
    holders: Vec<HolderState>,
    chosen: Option<usize>,
    choice: HolderRule,
}

/// Use of several paths of the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HolderRule {
    /// The first that is there.
    First,
    /// All of them, each of which has to be there.
    All,
    /// Those of them that are there.
    Any,
}

/// Value at a path of the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HolderState {
    Unread,
    Null,
    Records,
    Other,
}

/// Use of the records at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HolderChoice {
    Yes,
    /// They replace those that were read before, at a path of lower rank.
    Instead,
    No,
}

/// A path of the records has two values.
#[derive(Debug)]
pub(super) struct DuplicateHolder;

/// Presence of the records in a whole page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecordsState {
    Present,
    Null,
    /// No path has a value.
    Absent,
    /// A path has a value of another type.
    Other,
}

impl Captures {
    pub(super) fn new(records: &Records) -> Self {
        Self {
            fields: PageFields::default(),
            errors: Vec::new(),
            holders: vec![HolderState::Unread; records.paths.len()],
            chosen: None,
            choice: match (records.shape, records.presence) {
                (RecordsShape::All, Presence::Required) => HolderRule::All,
                (RecordsShape::All, Presence::Optional) => HolderRule::Any,
                _ => HolderRule::First,
            },
        }
    }

    pub(super) fn fields(&self) -> &PageFields {
        &self.fields
    }

    pub(super) fn into_fields(self) -> PageFields {
        self.fields
    }

    /// First top-level error of the page.
    pub(super) fn first_error(&self) -> Option<&(Path, String)> {
        self.errors.first()
    }

    /// Returns whether no path of a higher rank can appear any more.
    pub(super) fn is_sure(&self) -> bool {
        let before = &self.holders[..self.chosen.unwrap_or(0)];
        self.choice != HolderRule::First || before.iter().all(|holder| *holder != HolderState::Unread)
    }

    /// Notes that the value at the records' path of this rank begins with `byte`.
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
            _ if before != HolderState::Unread => Err(DuplicateHolder),
            _ if !is_holder => Ok(HolderChoice::No),
            Some(_) if self.choice != HolderRule::First => Ok(HolderChoice::Yes),
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

    /// Adds the value of `field`, which is `path` or leads into its value `raw`.
    pub(super) fn add_field(&mut self, field: &Path, path: &Path, raw: &RawValue) -> Result<(), PageError> {
        let inside = Path::new(field.segments()[path.segments().len()..].to_vec());
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

    /// Adds the value of a member in which upstreams report failures.
    pub(super) fn add_error(&mut self, path: &Path, raw: &RawValue) {
        if !matches!(raw.get(), "null" | "false" | "\"\"" | "[]" | "{}" | "0") {
            self.add_large_error(path, raw.get().as_bytes());
        }
    }

    /// Adds the start of an error that is too long to be read to its end.
    pub(super) fn add_large_error(&mut self, path: &Path, start: &[u8]) {
        const EXCERPT: usize = 80;
        let start = String::from_utf8_lossy(&start[..start.len().min(4 * EXCERPT)]);
        self.errors.push((path.clone(), start_of(&start, EXCERPT)));
    }

    /// Values at the paths of the records, of which one has some.
    pub(super) fn holder(&self) -> RecordHolder {
        let bits = |wanted| {
            let ranks = (0_u32..).zip(&self.holders).filter(|(_, holder)| **holder == wanted);
            ranks.filter_map(|(rank, _)| 1_u64.checked_shl(rank)).sum()
        };
        match self.choice {
            HolderRule::All => {
                RecordHolder::Several { arrays: bits(HolderState::Records), nulls: bits(HolderState::Null) }
            }
            HolderRule::First | HolderRule::Any => RecordHolder::Records,
        }
    }

    /// Presence of the records at the end of the page.
    pub(super) fn records(&self) -> RecordsState {
        let any = |wanted| self.holders.contains(&wanted);
        match self.chosen {
            Some(_) if self.choice == HolderRule::All && any(HolderState::Unread) => RecordsState::Absent,
            Some(_) if self.choice == HolderRule::All && any(HolderState::Other) => RecordsState::Other,
            Some(_) => RecordsState::Present,
            // Go's encoders write `null` for an empty list.
            None if any(HolderState::Null) => RecordsState::Null,
            None if any(HolderState::Other) => RecordsState::Other,
            None => RecordsState::Absent,
        }
    }
}
