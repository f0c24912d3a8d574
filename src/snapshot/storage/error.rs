//! Errors of a storage: of a write, of its folder, and of a snapshot that is read again.

use std::io;
use std::path::PathBuf;

/// Error of a write. The bytes and entries that were stored before are unchanged.
#[derive(Debug, thiserror::Error)]
pub(in crate::snapshot) enum WriteError {
    /// Also returned to a crawl whose log was reopened meanwhile: its epoch is over.
    #[error("other bytes were written at this place before the crawl was interrupted")]
    Changed,
    #[error("the disk budget is used up")]
    NoRoom,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Error of a folder that can't be used for snapshots.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("another process keeps its snapshots in {}", .0.display())]
    Locked(PathBuf),
    #[error("{} belongs to another user: snapshots need a folder of their own", .0.display())]
    Foreign(PathBuf),
    #[error("other users may write to {}: snapshots need a folder of mode 0700", .0.display())]
    Open(PathBuf),
    #[error("snapshots can't be kept in {}: {}", .0.display(), .1)]
    Io(PathBuf, io::Error),
}

impl StoreError {
    /// Returns the remedy.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Locked(_) => "stop that process, or set `dir` in [snapshots] to another folder",
            Self::Foreign(_) | Self::Open(_) => "set `dir` in [snapshots] to a folder that is this user's alone",
            Self::Io(..) => {
                "set `dir` in [snapshots] to a folder that this user can write to, or `disk` to \"0\" for none"
            }
        }
    }
}

/// Error of a stored snapshot that can't be read again.
#[derive(Debug, thiserror::Error)]
pub enum ReopenError {
    #[error("no such snapshot is kept")]
    Unknown,
    #[error("the snapshot's files are damaged: {0}")]
    Damaged(String),
    #[error("the snapshot's files have version {0}, which a newer unpage has written")]
    Newer(u32),
    #[error("the snapshot's files can't be read: {0}")]
    Io(io::Error),
}

impl From<io::Error> for ReopenError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Unknown,
            _ => Self::Io(error),
        }
    }
}
