//! File of the sessions: a line `KEY ID SECONDS` for each binding, of which the last one of a key counts.
//!
//! A line is appended when a session is bound, and the file is written anew at each start, and where most of its lines are out of date. A line that is
//! torn by a power cut is ignored: its session is unbound.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::file_io::private;
use crate::id::{CacheKey, SnapshotId};

/// Snapshot of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::snapshot) struct SessionBinding {
    pub(in crate::snapshot) session: CacheKey,
    pub(in crate::snapshot) snapshot: SnapshotId,
    /// Time of the binding, in seconds since 1970.
    pub(in crate::snapshot) since: u64,
}

#[derive(Debug)]
pub(in crate::snapshot) struct SessionFile {
    path: PathBuf,
    /// Lines that were written.
    pub(in crate::snapshot) lines: usize,
}

impl SessionBinding {
    pub(in crate::snapshot) fn new(session: CacheKey, snapshot: SnapshotId) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Self { session, snapshot, since }
    }

    pub(in crate::snapshot) fn is_younger_than(&self, age: Duration) -> bool {
        let since = UNIX_EPOCH.checked_add(Duration::from_secs(self.since));
        since.is_some_and(|since| SystemTime::now().duration_since(since).is_ok_and(|passed| passed < age))
    }

    fn read(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let (session, snapshot) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(Self { session, snapshot, since: words.next()?.parse().ok()? })
    }

    fn line(&self) -> String {
        format!("{} {} {}\n", self.session, self.snapshot, self.since)
    }
}

impl SessionFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, lines: 0 }
    }

    /// Reads all bindings, the oldest first.
    pub(in crate::snapshot) fn read(&self) -> io::Result<Vec<SessionBinding>> {
        match fs::read(&self.path) {
            Ok(text) => Ok(String::from_utf8_lossy(&text).lines().filter_map(SessionBinding::read).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    pub(in crate::snapshot) fn append(&mut self, binding: &SessionBinding) -> io::Result<()> {
        self.lines += 1;
        let mut file = private().create(true).append(true).open(&self.path)?;
        // One write: a kill leaves the line or none of it.
        file.write_all(binding.line().as_bytes())
    }

    /// Replaces the file by one with these bindings, in one atomic step.
    pub(in crate::snapshot) fn rewrite(&mut self, bindings: &[SessionBinding]) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(&self.path);
        let mut file = tempfile::Builder::new().prefix("sessions-").suffix(".tmp").tempfile_in(folder)?;
        file.write_all(bindings.iter().map(SessionBinding::line).collect::<String>().as_bytes())?;
        file.persist(&self.path)?;
        self.lines = bindings.len();
        Ok(())
    }
}
