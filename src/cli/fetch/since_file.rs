//! `--since-from FILE`: the value behind which the next run begins, kept after each complete one.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::FetchEnd;
use super::existing_files::HeaderPolicy;
use super::file_keys::FileKeys;
use crate::cache_key::KEY_VERSION;
use crate::crawl::Crawl;
use crate::id::CacheKey;
use crate::pagination::verdict::Consistency;
use crate::pagination::{GreatestValue, UnorderedValue};
use crate::snapshot;

/// File of `--since-from`, and the values that this run has seen.
#[derive(Debug)]
pub(super) struct SinceFile {
    path: PathBuf,
    /// Keys of the whole collection, without `since`.
    keys: FileKeys,
    /// Value behind which this run begins; none for the whole collection.
    begun: Option<String>,
    seen: GreatestValue,
    /// Beginning of a record whose end is yet to come.
    rest: Vec<u8>,
}

/// Content of the file.
#[derive(Serialize, Deserialize)]
struct KeptSince {
    key_version: u32,
    collection: CacheKey,
    /// Hash of the header fields and credentials: another caller may see other records.
    caller: CacheKey,
    since: String,
}

impl SinceFile {
    /// Reads the file, and has the crawl begin behind its value. Errors: a collection without `since`, a file of another one or of another caller, one
    /// that can't be written, and one among `outputs`, the files that the records are written to.
    pub(super) fn begin(
        path: &Path,
        outputs: &[&Path],
        fields: HeaderPolicy,
        crawl: &mut Crawl,
    ) -> Result<Self, String> {
        let Some(since) = &crawl.pagination.since else {
            return Err(
                "the collection has no `since`: name the parameter and the field of a record whose value it takes, as \
                        --set 'since={ param = \"updated_since\", field = \"updated_at\" }'"
                    .to_owned(),
            );
        };
        if crawl.since.is_some() || crawl.parents.is_some() {
            return Err(
                "the path names the records already: by a value of its own, or as those of all parents".to_owned()
            );
        }
        let mut seen = GreatestValue::new(since.field.clone());
        seen.pass_over_later(SystemTime::now());
        let named = |what: &str| format!("{}: {what}", path.display());
        let unusable = |error: io::Error| named(&error.to_string());
        let path = place(path).map_err(unusable)?;
        let clashes = |output: &&Path| place(output).is_ok_and(|output| output == path || output == new_of(&path));
        if outputs.iter().any(clashes) {
            return Err(named("the output, or a file beside it: name another file"));
        }
        let kept = match fs::read(&path) {
            Ok(text) => {
                let kept = serde_json::from_slice::<KeptSince>(&text);
                Some(kept.map_err(|_| named("no file of an earlier run: name another one"))?)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(unusable(error)),
        };
        let begun = match kept {
            Some(KeptSince { key_version, collection, caller, since }) => {
                let keys =
                    FileKeys::of_version(key_version, crawl).ok_or_else(|| named("written by a newer unpage"))?;
                if collection != keys.records {
                    return Err(named(
                        "of another collection, query or pagination, whose records it would leave out: name another file, or delete it to read all",
                    ));
                }
                if caller != keys.caller && fields == HeaderPolicy::AsBegun {
                    return Err(named(
                        "of other header fields, and perhaps of another user, whose records it would leave out: name another file; or --changed-headers \
                         takes it, as after a renewed token",
                    ));
                }
                Some(since)
            }
            None => None,
        };
        let new = new_of(&path);
        File::create(&new).and_then(|_| fs::remove_file(&new)).map_err(unusable)?;
        let keys = FileKeys::current(crawl);
        crawl.since.clone_from(&begun);
        Ok(Self { path, keys, begun, seen, rest: Vec::new() })
    }

    /// Takes lines of the log, the last one perhaps cut.
    pub(super) fn add(&mut self, lines: &[u8]) -> Result<(), FetchEnd> {
        for piece in lines.split_inclusive(|byte| *byte == b'\n') {
            let added = if self.rest.is_empty() && piece.ends_with(b"\n") {
                self.seen.add(piece)
            } else {
                self.rest.extend_from_slice(piece);
                if !piece.ends_with(b"\n") {
                    continue;
                }
                let added = self.seen.add(&self.rest);
                self.rest.clear();
                added
            };
            added.map_err(|error: UnorderedValue| {
                FetchEnd::NotKept(error.to_string(), "set the `field` of `since` to one, or leave out --since-from")
            })?;
        }
        Ok(())
    }

    /// Takes the first bytes of a file, which an earlier run has written since `begun`.
    pub(super) fn add_written(&mut self, file: &Path, bytes: u64, begun: SystemTime) -> Result<(), FetchEnd> {
        self.seen.pass_over_later(begun);
        let mut lines = BufReader::with_capacity(1 << 16, File::open(file).map_err(FetchEnd::Unwritable)?.take(bytes));
        loop {
            let piece = lines.fill_buf().map_err(FetchEnd::Unwritable)?;
            if piece.is_empty() {
                return Ok(());
            }
            let length = piece.len();
            self.add(piece)?;
            lines.consume(length);
        }
    }

    /// Keeps the value of `--since-from` after a complete run: behind the output, so that a kill between them has records come again, and none lost. After one that may
    /// have lost records, the next run asks for them again.
    pub(super) fn kept(since: Option<Self>, ended: FetchEnd) -> FetchEnd {
        match (since, &ended) {
            (Some(since), FetchEnd::Complete(verdict, _))
                if matches!(verdict.consistency, Consistency::Moved { .. }) =>
            {
                eprintln!("warning: {} stays as it was, as records may be missing", since.path.display());
                ended
            }
            (Some(since), FetchEnd::Complete(..)) => since.keep().map_or_else(|end| end, |()| ended),
            _ => ended,
        }
    }

    /// Keeps the greatest value. Without records it stays. A first run whose records have one value keeps none: they may be the
    /// first ones of a list that begins with its newest, in which nothing follows them.
    ///
    /// # Errors
    /// Records that all lie in front of the value that was asked for: the parameter has another meaning.
    fn keep(self) -> Result<(), FetchEnd> {
        if self.seen.has_later() {
            eprintln!("warning: records dated later than the run began come again in the next runs");
        }
        let Some(greatest) = self.seen.text() else { return Ok(()) };
        match &self.begun {
            Some(begun) if self.seen.is_below(begun) => {
                let what = format!(
                    "records behind {begun:?} were asked for, and all that came lie in front of it; {} stays as it was",
                    self.path.display()
                );
                let hint = "set the `param` of `since` to a lower bound: one that names a place in a list of the newest first leads to older records";
                return Err(FetchEnd::NotKept(what, hint));
            }
            None if !self.seen.differs() => {
                eprintln!("{} is not written: a run begins behind a value when two were seen", self.path.display());
                return Ok(());
            }
            _ => {}
        }
        let FileKeys { records: collection, caller } = self.keys;
        let kept = KeptSince { key_version: KEY_VERSION, collection, caller, since: greatest.to_owned() };
        let new = new_of(&self.path);
        let written = serde_json::to_vec(&kept).map_err(io::Error::from).and_then(|text| {
            fs::write(&new, text)?;
            snapshot::commit_single_file(&new, &self.path, &[])
        });
        written.map_err(|error| FetchEnd::SinceUnwritten(self.path, error))
    }
}

/// File that is renamed to the one at `path`.
fn new_of(path: &Path) -> PathBuf {
    path.with_added_extension("new")
}

/// Returns the path of a file without symbolic links, also of one that is not there yet.
fn place(path: &Path) -> io::Result<PathBuf> {
    if let Ok(place) = path.canonicalize() {
        return Ok(place);
    }
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    Ok(folder.unwrap_or_else(|| Path::new(".")).canonicalize()?.join(name))
}
