//! Content of a partial file and its journal at the start of a fetch.

use std::path::Path;
use std::time::SystemTime;
use std::{fs, io};

use super::FetchEnd;
use super::file_keys::{CrawlOrigin, FileKeys};
use crate::crawl::Crawl;
use crate::snapshot::{self, Log, ReopenError, ResumableLog};

/// Policy for a partial file that was begun with other header fields, and so perhaps as another caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderPolicy {
    AsBegun,
    Changed,
}

/// Content of the files at the start.
pub(super) enum ExistingFiles {
    Nothing,
    /// Pages that a crawl can resume after, and the time of the first one.
    Some(CrawlOrigin, SystemTime, Log, ResumableLog),
    /// The whole collection, not renamed yet, and the time of its first page.
    All(Log, SystemTime),
}

impl ExistingFiles {
    /// Looks at the file of the records and at its journal, which are this crawl's or an error.
    pub(super) fn find(lines: &Path, journal: &Path, crawl: &Crawl, fields: HeaderPolicy) -> Result<Self, FetchEnd> {
        let recovered = match snapshot::recover_single_file(lines.to_owned(), journal.to_owned()) {
            Ok(recovered) => recovered,
            // An empty file is what a kill leaves right after the first page.
            Err(ReopenError::Unknown) if fs::metadata(lines).is_ok_and(|lines| lines.len() > 0) => {
                return Err(FetchEnd::Foreign(lines.to_owned()));
            }
            Err(ReopenError::Unknown) => return Ok(Self::Nothing),
            Err(unusable) => return Self::start_again(lines, unusable),
        };
        let Ok(begun) = serde_json::from_str::<CrawlOrigin>(recovered.birth().begun.get()) else {
            return Err(FetchEnd::Another(lines.to_owned()));
        };
        let Some(keys) = FileKeys::of_version(begun.key_version, crawl) else {
            return Err(FetchEnd::NewerKey(lines.to_owned(), begun.key_version));
        };
        if recovered.birth().key != keys.records {
            return Err(FetchEnd::Another(lines.to_owned()));
        }
        if fields == HeaderPolicy::AsBegun && begun.fields != keys.caller {
            return Err(FetchEnd::OtherFields(lines.to_owned()));
        }
        // A log that was opened would write its seal while the files are created anew.
        if !recovered.is_usable() {
            return Ok(Self::Nothing);
        }
        let created = recovered.birth().facts.created;
        match recovered.open() {
            Ok(reopened) => Ok(match reopened.unfinished {
                Some(unfinished) => Self::Some(begun, created, reopened.log, unfinished),
                None => Self::All(reopened.log, created),
            }),
            Err(unusable) => Self::start_again(lines, unusable),
        }
    }

    /// Says why the files are begun again, unless they must not be.
    fn start_again(lines: &Path, unusable: ReopenError) -> Result<Self, FetchEnd> {
        let unwritable = |error: io::Error| {
            FetchEnd::Unwritable(io::Error::new(error.kind(), format!("{}: {error}", lines.display())))
        };
        match unusable {
            ReopenError::Io(error) => Err(unwritable(error)),
            ReopenError::Newer(_) => Err(unwritable(io::Error::other(unusable))),
            ReopenError::Unknown | ReopenError::Damaged(_) => {
                eprintln!("starts again from the first page: {}: {unusable}", lines.display());
                Ok(Self::Nothing)
            }
        }
    }
}
