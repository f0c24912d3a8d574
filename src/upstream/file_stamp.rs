//! Marks of a file by which a change shows.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Time between two looks at a file.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);

/// Time of the last change, inode and length. A folder that Kubernetes replaces has new inodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileStamp {
    modified: Option<SystemTime>,
    inode: u64,
    length: u64,
}

impl FileStamp {
    /// Returns none where no file can be read again: a pipe has given its text already, and a read of it would wait.
    pub(super) fn of(file: &Path) -> Option<Self> {
        let found = fs::metadata(file).ok().filter(Metadata::is_file)?;
        Some(Self { modified: found.modified().ok(), inode: found.ino(), length: found.len() })
    }
}
