//! `--since-from FILE`: the value behind which the next run begins, kept after each complete one.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::FetchEnd;
use super::file_keys::FileKeys;
use crate::cache_key::KEY_VERSION;
use crate::crawl::Crawl;
use crate::id::CacheKey;
use crate::pagination::{GreatestValue, UnorderedValue};
use crate::snapshot;

/// File of `--since-from`, and the values that this run has seen.
#[derive(Debug)]
pub(super) struct SinceFile {
    path: PathBuf,
    /// Key of the whole collection, without `since`.
    collection: CacheKey,
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
    since: String,
}

impl SinceFile {
    /// Reads the file, and has the crawl begin behind its value. Errors: a collection without `since`, and a file of another one.
    pub(super) fn begin(path: &Path, crawl: &mut Crawl) -> Result<Self, String> {
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
        let seen = GreatestValue::new(since.field.clone());
        let named = |what: &str| format!("{}: {what}", path.display());
        let kept = match fs::read(path) {
            Ok(text) => {
                let kept = serde_json::from_slice::<KeptSince>(&text);
                Some(kept.map_err(|_| named("no file of an earlier run: name another one"))?)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(named(&error.to_string())),
        };
        let version = kept.as_ref().map_or(KEY_VERSION, |kept| kept.key_version);
        let keys = FileKeys::of_version(version, crawl).ok_or_else(|| named("written by a newer unpage"))?;
        if kept.as_ref().is_some_and(|kept| kept.collection != keys.records) {
            return Err(named(
                "of another collection, query or pagination, whose records it would leave out: name another file, or delete it to read all",
            ));
        }
        let begun = kept.map(|kept| kept.since);
        let collection = FileKeys::current(crawl).records;
        crawl.since.clone_from(&begun);
        Ok(Self { path: path.to_owned(), collection, begun, seen, rest: Vec::new() })
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

    /// Takes the first bytes of a file, which an earlier run has written.
    pub(super) fn add_written(&mut self, file: &Path, bytes: u64) -> Result<(), FetchEnd> {
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

    /// Keeps the greatest value after a complete run. Without records it stays. A first run whose records have one value keeps none: they may be the
    /// first ones of a list that begins with its newest, in which nothing follows them.
    ///
    /// # Errors
    /// Records that all lie in front of the value that was asked for: the parameter has another meaning.
    pub(super) fn keep(self) -> Result<(), FetchEnd> {
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
        let kept = KeptSince { key_version: KEY_VERSION, collection: self.collection, since: greatest.to_owned() };
        let new = self.path.with_added_extension("new");
        let written = serde_json::to_vec(&kept).map_err(io::Error::from).and_then(|text| {
            fs::write(&new, text)?;
            snapshot::commit_single_file(&new, &self.path, &[])
        });
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", self.path.display()));
        written.map_err(|error| FetchEnd::Unwritable(named(error)))
    }
}
