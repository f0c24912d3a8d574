//! End of a fetch, as its last lines on stderr and its exit status tell it.

use std::io;
use std::path::PathBuf;

use super::FetchArguments;
use crate::cli::Exit;
use crate::cli::failure_lines::tell;
use crate::error::{Failure, Fault};
use crate::format::{ColumnUse, EncodingError};
use crate::pagination::verdict::{Consistency, Verdict};

/// End of a fetch.
pub(super) enum FetchEnd {
    /// The crawl could not start.
    Refused(Failure),
    /// The partial file has another collection's records.
    Another(PathBuf),
    /// The partial file was begun with other header fields.
    OtherFields(PathBuf),
    /// Its cache key has this version, which is newer than [`KEY_VERSION`](crate::cache_key::KEY_VERSION).
    NewerKey(PathBuf, u32),
    /// The partial file has no journal.
    Foreign(PathBuf),
    /// With the use of the columns of a table.
    Complete(Verdict, Option<Box<ColumnUse>>),
    Capped(u64),
    Broken(Failure),
    Interrupted,
    Unwritable(io::Error),
    /// `--since-from` keeps no value, for this reason and with this remedy.
    NotKept(String, &'static str),
    /// All records were written, and the file of `--since-from` could not be.
    SinceUnwritten(PathBuf, io::Error),
    /// A record can't be expressed in the format of the output.
    Unencodable(EncodingError),
}

/// Prints the end on stderr, and the state of the output.
pub(super) fn report(ended: &FetchEnd, records: u64, left: &str) -> Exit {
    match ended {
        FetchEnd::Refused(failure) => {
            tell::<FetchArguments>(failure);
            eprintln!("not started: no record was written");
            Exit::not_opened(failure)
        }
        FetchEnd::Another(part) => {
            eprintln!("error: {} holds another collection, or one with another pagination", part.display());
            eprintln!(
                "hint: use the URL and the options that it was begun with; or delete it by --restart, or name another --output"
            );
            Exit::Usage
        }
        FetchEnd::OtherFields(part) => {
            eprintln!(
                "error: {} was begun with other header fields, and may hold the records of another user",
                part.display()
            );
            eprintln!(
                "hint: --changed-headers resumes it nevertheless, as after a renewed token; or delete it by --restart, or name another --output"
            );
            Exit::Usage
        }
        FetchEnd::NewerKey(part, version) => {
            eprintln!("error: {} was begun by a newer unpage: its cache key has version {version}", part.display());
            eprintln!("hint: resume it with that unpage, delete it by --restart, or name another --output");
            Exit::Usage
        }
        FetchEnd::Foreign(part) => {
            eprintln!("error: {} exists, and no journal beside it says what it holds", part.display());
            eprintln!("hint: delete it by --restart, or name another --output");
            Exit::Usage
        }
        FetchEnd::Complete(verdict, column_use) => {
            if matches!(verdict.consistency, Consistency::Moved { .. }) {
                eprintln!("warning: --on-missed report accepts a list that may have lost records");
            }
            if let Some(warning) = column_use.as_deref().and_then(ColumnUse::warning) {
                eprintln!("warning: {warning}");
            }
            let remark = column_use.as_deref().and_then(ColumnUse::remark).map(|remark| format!("; {remark}"));
            eprintln!("complete: {verdict}{}", remark.unwrap_or_default());
            Exit::Complete
        }
        FetchEnd::Capped(most) => {
            eprintln!("stopped: {} as --max-records says; this is not the whole collection", counted(*most));
            Exit::Capped
        }
        FetchEnd::Broken(failure) if records == 0 && failure.fault != Fault::Moved => {
            tell::<FetchArguments>(failure);
            eprintln!("not started: no record was written");
            Exit::not_opened(failure)
        }
        FetchEnd::Broken(failure) => {
            tell::<FetchArguments>(failure);
            eprintln!("broken: after {}; {left}", counted(records));
            Exit::broken(failure)
        }
        FetchEnd::Interrupted => {
            eprintln!("broken: interrupted after {}; {left}", counted(records));
            Exit::Broken
        }
        // The reader closed the pipe itself.
        FetchEnd::Unwritable(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Output,
        FetchEnd::Unencodable(error) => {
            eprintln!("error: the output can't be written: {error}\nhint: {}", error.hint);
            eprintln!("broken: after {}; {left}", counted(records));
            Exit::Output
        }
        FetchEnd::NotKept(what, hint) => {
            eprintln!("error: --since-from: {what}\nhint: {hint}");
            Exit::Usage
        }
        FetchEnd::SinceUnwritten(file, error) => {
            eprintln!("error: --since-from: {} can't be written: {error}", file.display());
            eprintln!("hint: the output is complete with {}; the next run brings them again", counted(records));
            Exit::Output
        }
        FetchEnd::Unwritable(error) => {
            eprintln!("error: the output can't be written: {error}");
            eprintln!("broken: after {}; {left}", counted(records));
            Exit::Output
        }
    }
}

pub(super) fn counted(records: u64) -> String {
    format!("{records} record{}", if records == 1 { "" } else { "s" })
}
