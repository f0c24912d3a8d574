//! The certificate that an upstream gets from unpage, read again when its files have changed.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::error::ConnectorError;
use super::file_stamp::{FileStamp, INTERVAL};
use crate::config::ClientCertificate;

/// Certificates for handshakes: new ones have what the files have by then.
#[derive(Debug)]
pub(super) struct FollowedCertificate {
    files: ClientCertificate,
    read: Mutex<ReadCertificate>,
}

#[derive(Debug)]
struct ReadCertificate {
    certified: Arc<CertifiedKey>,
    looked: Instant,
    stamps: [Option<FileStamp>; 2],
}

impl FollowedCertificate {
    pub(super) fn load(files: &ClientCertificate) -> Result<Self, ConnectorError> {
        let stamps = stamps(files);
        let read = ReadCertificate { certified: Arc::new(certified(files)?), looked: Instant::now(), stamps };
        Ok(Self { files: files.clone(), read: Mutex::new(read) })
    }

    /// Returns the certificate; looks at its files at most once a second. While they can't be used, the last one stays.
    fn current(&self) -> Arc<CertifiedKey> {
        let mut read = self.read.lock();
        if read.looked.elapsed() < INTERVAL {
            return Arc::clone(&read.certified);
        }
        read.looked = Instant::now();
        let stamps = stamps(&self.files);
        if std::mem::replace(&mut read.stamps, stamps) != stamps {
            match certified(&self.files) {
                Ok(certified) => {
                    read.certified = Arc::new(certified);
                    tracing::info!("the changed client certificate {} is in use", self.files.cert.display());
                }
                Err(error) => tracing::warn!("{error}; the certificate that was read before stays in use"),
            }
        }
        Arc::clone(&read.certified)
    }
}

impl ResolvesClientCert for FollowedCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn stamps(files: &ClientCertificate) -> [Option<FileStamp>; 2] {
    [&files.cert, &files.key].map(|file| FileStamp::of(file))
}

/// Reads a certificate with its chain, and its key.
///
/// # Errors
/// Fails where a file can't be read, is no PEM, or the key belongs to another certificate.
pub fn certified(files: &ClientCertificate) -> Result<CertifiedKey, ConnectorError> {
    let bad = |path: &Path, what: String| ConnectorError::Certificate { path: path.to_owned(), what };
    let of_cert = |what: String| bad(&files.cert, what);
    let chain = CertificateDer::pem_file_iter(&files.cert).map_err(|error| of_cert(error.to_string()))?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(|error| of_cert(error.to_string()))?;
    if chain.is_empty() {
        return Err(of_cert("no certificate in it".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| bad(&files.key, error.to_string()))?;
    let key = any_supported_type(&key).map_err(|error| bad(&files.key, error.to_string()))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(certified),
        Err(_) => Err(bad(&files.key, "it is the key of another certificate".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    #[test]
    fn changed_files_are_used_and_bad_ones_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let files = ClientCertificate { cert: folder.path().join("cert"), key: folder.path().join("key") };
        let write = || {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(["unpage".to_owned()]).unwrap();
            fs::write(&files.cert, params.self_signed(&key).unwrap().pem()).unwrap();
            fs::write(&files.key, key.serialize_pem()).unwrap();
        };
        write();
        let followed = FollowedCertificate::load(&files).unwrap();
        let look = || {
            let mut read = followed.read.lock();
            read.looked = read.looked.checked_sub(INTERVAL).unwrap();
            drop(read);
            followed.current().cert[0].to_vec()
        };
        let first = look();
        write();
        let second = look();
        assert_ne!(first, second);
        for bad in ["", "no certificate"] {
            fs::write(&files.cert, bad).unwrap();
            assert_eq!(look(), second, "{bad:?}");
        }
        fs::remove_file(&files.cert).unwrap();
        assert_eq!(look(), second);
        write();
        assert_ne!(look(), second);
    }
}
