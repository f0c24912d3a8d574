//! Files and folders that a configuration names, as `unpage check` finds them.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;

use crate::config::{Config, Grant, Upstream};
use crate::server::{TlsError, TlsSettings};
use crate::upstream::{authorities, client_certificate};

/// Flaw of a file or folder, with the key that names it.
pub(super) enum FileFlaw {
    /// File that is missing or that this user can't read: another machine or user may have it.
    Absent(String),
    /// Its content is wrong for any user.
    Wrong { what: String, hint: &'static str },
}

/// Returns the flaws of the files of TLS and certificate authorities, and of the folder of snapshots.
pub(super) fn flaws(config: &Config) -> Vec<FileFlaw> {
    let tls = config.tls.iter().flat_map(TlsSettings::flaws).map(|error| of_tls(&error));
    let mut seen: Vec<&Path> = Vec::new();
    let upstreams = config.collections.iter().map(|collection| &*collection.upstream).filter_map(|upstream| {
        let ca = upstream.ca.as_deref().filter(|ca| !seen.contains(ca))?;
        seen.push(ca);
        of_authorities(upstream, ca)
    });
    let certificates = config.collections.iter().filter_map(|collection| of_certificate(&collection.upstream));
    let tokens = config.collections.iter().flat_map(|collection| collection.upstream.credentials.tokens());
    let keeps = tokens.filter_map(|settings| match &settings.grant {
        Grant::RefreshToken { keep, .. } => keep.as_deref()?.parent().and_then(of_keep),
        Grant::ClientCredentials | Grant::JwtBearer(_) | Grant::Login => None,
    });
    let settings = &config.snapshots.settings;
    let dir = settings.dir.as_deref().filter(|_| settings.disk > 0);
    tls.chain(upstreams.collect::<Vec<_>>()).chain(certificates).chain(keeps).chain(dir.and_then(of_folder)).collect()
}

fn of_tls(error: &TlsError) -> FileFlaw {
    match error {
        TlsError::Unreadable(path, why) => of_access("tls", path, why, error.hint()),
        _ => FileFlaw::Wrong { what: format!("tls: {error}"), hint: error.hint() },
    }
}

fn of_authorities(upstream: &Upstream, ca: &Path) -> Option<FileFlaw> {
    let hint = "set `ca` to a PEM file of certificates that the user of `serve` can read";
    if let Err(why) = File::open(ca) {
        return Some(of_access("ca", ca, &why, hint));
    }
    let error = authorities(ca).err()?;
    Some(FileFlaw::Wrong { what: format!("ca of {}: {error}", upstream.url), hint: error.hint() })
}

fn of_certificate(upstream: &Upstream) -> Option<FileFlaw> {
    let files = upstream.client_cert.as_ref()?;
    let error = client_certificate(files).err()?;
    for file in [&files.cert, &files.key] {
        if let Err(why) = File::open(file) {
            return Some(of_access("client_cert", file, &why, error.hint()));
        }
    }
    Some(FileFlaw::Wrong { what: format!("client_cert of {}: {error}", upstream.url), hint: error.hint() })
}

/// Checks that files can be made in a folder, or that it can be made itself.
fn of_folder(dir: &Path) -> Option<FileFlaw> {
    let hint = "set `dir` in [snapshots] to a folder in which the user of `serve` may make files";
    let existing = dir.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("."));
    let probed = match fs::metadata(existing) {
        Ok(found) if !found.is_dir() => Err(ErrorKind::NotADirectory.into()),
        Ok(_) => tempfile::tempfile_in(existing).map(drop),
        Err(why) => Err(why),
    };
    Some(of_access("snapshots.dir", existing, &probed.err()?, hint))
}

/// Checks that the file of a refresh token can be replaced in this folder.
fn of_keep(folder: &Path) -> Option<FileFlaw> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let why = tempfile::tempfile_in(folder).err()?;
    let hint = "set `keep` to a file in a folder in which the user of `serve` may make files";
    Some(of_access("credentials.token.keep", folder, &why, hint))
}

fn of_access(key: &str, path: &Path, why: &io::Error, hint: &'static str) -> FileFlaw {
    let what = format!("{key}: {}: {why}", path.display());
    match why.kind() {
        ErrorKind::NotFound | ErrorKind::PermissionDenied => {
            FileFlaw::Absent(format!("{what}: `serve` needs it when it starts"))
        }
        _ => FileFlaw::Wrong { what, hint },
    }
}
