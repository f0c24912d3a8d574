//! The file that keeps a rotated refresh token: JSON of one line, replaced as a whole and written to the disk before the token is used.
//!
//! A lock file beside it lets processes renew in turn: a refresh token that is used twice may end all of its family (RFC 9700 §4.14.2).

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

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

impl LockedFile {
    /// Waits until no other process renews by this file.
    pub(super) fn lock(path: &Path) -> io::Result<Self> {
        let lock = File::options().create(true).append(true).open(path.with_added_extension("lock"))?;
        lock.lock()?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Returns the newest token that descends from the configured one.
    ///
    /// # Errors
    /// Fails where the file can't be read or is another one: to begin with the configured token again could end all others.
    pub(super) fn read(&self, first: &str) -> io::Result<Option<String>> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        // The text of serde's errors may repeat what it has read.
        let kept: KeptToken = serde_json::from_slice(&text)
            .map_err(|_| io::Error::new(ErrorKind::InvalidData, "it is no file of a refresh token"))?;
        Ok((kept.first == digest_of(first)).then_some(kept.refresh_token))
    }

    /// Writes a token that descends from the configured one; it is on the disk when this returns.
    pub(super) fn write(&self, first: &str, refresh_token: &str) -> io::Result<()> {
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

fn digest_of(first: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, first.as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_newest_token_is_read_until_another_one_is_configured() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("refresh");
        let file = LockedFile::lock(&path).unwrap();
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
            assert_eq!(error, "it is no file of a refresh token", "{bad}");
        }
    }
}
