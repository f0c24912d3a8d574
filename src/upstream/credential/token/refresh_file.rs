//! The file that keeps a rotated refresh token: JSON of one line, replaced as a whole and written to the disk before the token is used.
//!
//! A lock file beside it lets processes renew in turn: a refresh token that is used twice may end all of its family (RFC 9700 §4.14.2).

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use super::LIMIT;

/// Time between two attempts at the lock.
const POLL: Duration = Duration::from_millis(50);

/// Content of the file.
#[derive(Deserialize, Serialize)]
struct KeptToken {
    /// Digest of the configured token that this one descends from: a new configured one replaces it.
    first: String,
    refresh_token: String,
}

/// The right to renew by the file, until it is dropped.
#[derive(Debug)]
pub(super) struct LockedFile {
    path: PathBuf,
    _lock: File,
}

/// Error of the file or of its lock.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeepError {
    #[error("{}: {why}", path.display())]
    Io { path: PathBuf, why: io::Error },
    #[error("{} is no file of a refresh token", .0.display())]
    Damaged(PathBuf),
    #[error("{owner} has held {} for 30s", lock.display())]
    Held { lock: PathBuf, owner: String },
}

impl LockedFile {
    /// Waits until no other process renews by this file.
    ///
    /// # Errors
    /// Fails where the lock can't be made, or where another process has it for as long as a whole renewal may take.
    pub(super) async fn lock(path: &Path) -> Result<Self, KeepError> {
        let until = Instant::now() + LIMIT;
        let lock = path.with_added_extension("lock");
        loop {
            let file = lock.clone();
            let tried = spawn_blocking(move || try_lock(&file)).await.map_err(io::Error::other).flatten();
            match tried.map_err(|why| KeepError::Io { path: lock.clone(), why })? {
                Ok(file) => return Ok(Self { path: path.to_owned(), _lock: file }),
                Err(owner) if Instant::now() >= until => return Err(KeepError::Held { lock, owner }),
                Err(_) => sleep(POLL).await,
            }
        }
    }

    /// Returns the newest token that descends from the configured one.
    ///
    /// # Errors
    /// Fails where the file can't be read or is another one: to begin with the configured token again could end all others.
    pub(super) fn read(&self, first: &str) -> Result<Option<String>, KeepError> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(why) => return Err(KeepError::Io { path: self.path.clone(), why }),
        };
        // The text of serde's errors may repeat what it has read.
        let kept: KeptToken = serde_json::from_slice(&text).map_err(|_| KeepError::Damaged(self.path.clone()))?;
        Ok((kept.first == digest_of(first)).then_some(kept.refresh_token))
    }

    /// Writes a token that descends from the configured one; it is on the disk when this returns.
    pub(super) fn write(&self, first: &str, refresh_token: &str) -> Result<(), KeepError> {
        self.replace(first, refresh_token).map_err(|why| KeepError::Io { path: self.path.clone(), why })
    }

    fn replace(&self, first: &str, refresh_token: &str) -> io::Result<()> {
        let kept = KeptToken { first: digest_of(first), refresh_token: refresh_token.to_owned() };
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Only its owner may read it.
        let mut file = NamedTempFile::new_in(folder)?;
        file.write_all(serde_json::to_string(&kept)?.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        File::open(folder)?.sync_all()
    }
}

/// Takes the lock and writes the process into it. Returns the name of another process that has it.
fn try_lock(path: &Path) -> io::Result<Result<File, String>> {
    let mut lock = File::options().create(true).append(true).open(path)?;
    match lock.try_lock() {
        Ok(()) => {
            lock.set_len(0)?;
            write!(lock, "{}", std::process::id())?;
            Ok(Ok(lock))
        }
        Err(TryLockError::WouldBlock) => {
            let owner = fs::read_to_string(path).ok().and_then(|text| text.parse::<u32>().ok());
            Ok(Err(owner.map_or("another process".to_owned(), |owner| format!("process {owner}"))))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn digest_of(first: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, first.as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_lock_that_another_process_keeps_is_told_after_as_long_as_a_renewal_may_take() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("refresh");
        let held = LockedFile::lock(&path).await.unwrap();
        let start = Instant::now();
        let error = LockedFile::lock(&path).await.unwrap_err().to_string();
        assert!(start.elapsed() >= LIMIT);
        assert_eq!(error, format!("process {} has held {}.lock for 30s", std::process::id(), path.display()));
        drop(held);
        LockedFile::lock(&path).await.unwrap();
    }

    #[tokio::test]
    async fn the_newest_token_is_read_until_another_one_is_configured() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("refresh");
        let file = LockedFile::lock(&path).await.unwrap();
        assert_eq!(file.read("first").unwrap(), None);
        for token in ["second", "third"] {
            file.write("first", token).unwrap();
            assert_eq!(file.read("first").unwrap().as_deref(), Some(token));
        }
        assert_eq!(file.read("other").unwrap(), None);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
        for bad in ["", "{\"first\":\"x\",\"refresh_tok", "[1]"] {
            fs::write(&path, bad).unwrap();
            let error = file.read("first").unwrap_err().to_string();
            assert_eq!(error, format!("{} is no file of a refresh token", path.display()), "{bad}");
        }
    }
}
