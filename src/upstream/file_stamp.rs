//! Marks of a file by which a change shows.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Time between two looks at a file.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);

/// Times of the last change of the text and of the inode (a file may become readable later), inode and length. A folder that Kubernetes replaces has new inodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileStamp {
    modified: Option<SystemTime>,
    changed: (i64, i64),
    inode: u64,
    length: u64,
}

impl FileStamp {
    /// Returns none where no file can be read again: a pipe has given its text already, and a read of it would wait.
    pub(super) fn of(file: &Path) -> Option<Self> {
        let found = fs::metadata(file).ok().filter(Metadata::is_file)?;
        let changed = (found.ctime(), found.ctime_nsec());
        Some(Self { modified: found.modified().ok(), changed, inode: found.ino(), length: found.len() })
    }
}
