//! The file of a unix socket: made with its mode in one step, replaced where it is stale, removed where it is still this process's.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// A socket file that this process made; removed when it is dropped.
#[derive(Debug)]
pub(super) struct UnixSocketFile {
    path: PathBuf,
    /// Device and inode: a process that starts while this one drains puts a socket of its own here.
    identity: (u64, u64),
}

impl UnixSocketFile {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn bind(path: PathBuf, mode: u32) -> io::Result<(UnixListener, Self)> {
        check_replaceable(&path)?;
        let mut temporary = path.clone().into_os_string();
        temporary.push(format!(".{}", std::process::id()));
        let temporary = PathBuf::from(temporary);
        let listener = UnixListener::bind(&temporary)?;
        // Renamed when the mode is right: no client connects in between, and a stale file is replaced in the same step.
        let made = fs::set_permissions(&temporary, Permissions::from_mode(mode))
            .and_then(|()| fs::rename(&temporary, &path))
            .and_then(|()| listener.set_nonblocking(true))
            .and_then(|()| fs::metadata(&path));
        match made {
            Ok(made) => Ok((listener, Self { path, identity: (made.dev(), made.ino()) })),
            Err(error) => {
                // The first error is the one to report.
                let _ = fs::remove_file(&temporary);
                Err(error)
            }
        }
    }
}

/// Fails unless there is no file, or a socket on which no process listens.
fn check_replaceable(path: &PathBuf) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            Err(io::Error::new(io::ErrorKind::AlreadyExists, "the file is no socket"))
        }
        Ok(_) => match UnixStream::connect(path) {
            Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            Err(error) => Err(error),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

impl Drop for UnixSocketFile {
    fn drop(&mut self) {
        let is_own = fs::metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.identity);
        if is_own && let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!("{} stays: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_socket_is_replaced_and_anything_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        // A process that was killed leaves its file.
        drop(UnixListener::bind(&path).unwrap());
        let (listener, file) = UnixSocketFile::bind(path.clone(), 0o640).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        assert!(UnixStream::connect(&path).is_ok());
        assert_eq!(UnixSocketFile::bind(path.clone(), 0o600).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        // The next process takes the path of one that no longer listens, and keeps it when that one ends.
        drop(listener);
        let next = UnixSocketFile::bind(path.clone(), 0o600).unwrap();
        drop(file);
        assert!(UnixStream::connect(&path).is_ok());
        drop(next);
        assert!(!path.exists());
        fs::write(&path, "kept").unwrap();
        assert_eq!(UnixSocketFile::bind(path.clone(), 0o600).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
