//! File of the sessions: a line `KEY ID SECONDS FORM` for each binding, with ` awaited` behind it until it is answered. The last line of a key counts.
//!
//! A line is appended when a session is bound, and when it is answered. The file is written anew at each start, and where most of its lines are out of
//! date. A line that is torn by a power cut is ignored.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use super::file_io::private;
use crate::id::{CacheKey, SnapshotId};

/// Word at the end of a line whose binding is awaited.
const AWAITED: &str = "awaited";

/// Progress of a session's first answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindingState {
    /// Its clients wait for the end of the snapshot: none has a byte, nor a length.
    Awaited,
    /// A client may have bytes, so that the name stands for no other snapshot any more.
    Answered,
}

/// Snapshot of a session, with the representation that its name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionBinding {
    pub session: CacheKey,
    pub snapshot: SnapshotId,
    /// Hash of the representation, since a part of one fits to no other.
    pub form: u64,
    pub state: BindingState,
    /// Time of its last use, in seconds since 1970; in the file that of its first.
    pub(in crate::snapshot) used: u64,
}

#[derive(Debug)]
pub(in crate::snapshot) struct SessionFile {
    path: PathBuf,
    /// Lines that were written.
    pub(in crate::snapshot) lines: usize,
}

impl SessionBinding {
    fn read(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let (session, snapshot) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let used = words.next()?.parse().ok()?;
        let form = words.next().filter(|form| form.len() == 16)?;
        let state = if words.next() == Some(AWAITED) { BindingState::Awaited } else { BindingState::Answered };
        Some(Self { session, snapshot, used, form: u64::from_str_radix(form, 16).ok()?, state })
    }

    fn line(&self) -> String {
        let Self { session, snapshot, used, form, state } = self;
        let awaited = if *state == BindingState::Awaited { format!(" {AWAITED}") } else { String::new() };
        format!("{session} {snapshot} {used} {form:016x}{awaited}\n")
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
