//! Certificates that follow their files: looked at every 5 s and compared by content, which works through Kubernetes' symlinks, bind mounts and NFS.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio_rustls::TlsAcceptor;

use super::tls::{LoadedTls, TlsError, TlsPart, TlsSettings};

const INTERVAL: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Certificates {
    settings: TlsSettings,
    loaded: Mutex<LoadedTls>,
    parts: Mutex<TlsParts>,
}

#[derive(Debug)]
struct TlsParts {
    used: Vec<TlsPart>,
    /// Contents at the last look, used or not; none for files that could not be read. A bad part is reported once.
    seen: Vec<Option<TlsPart>>,
}

impl Certificates {
    /// Loads the files of the settings.
    ///
    /// # Errors
    /// Fails where a file can't be read, is no PEM, has expired, or a key belongs to another certificate.
    pub fn load(settings: TlsSettings) -> Result<Self, TlsError> {
        let used: Vec<TlsPart> = settings.read().into_iter().collect::<Result<_, _>>()?;
        used.iter().try_for_each(TlsSettings::check)?;
        let loaded = settings.load(&used)?;
        let seen = used.iter().cloned().map(Some).collect();
        Ok(Self { settings, loaded: Mutex::new(loaded), parts: Mutex::new(TlsParts { used, seen }) })
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        Arc::clone(&self.loaded.lock().config).into()
    }

    pub fn expiries(&self) -> Vec<(PathBuf, SystemTime)> {
        self.loaded.lock().expiries.clone()
    }

    pub(super) async fn follow(self: Arc<Self>) {
        let mut interval = tokio::time::interval(INTERVAL);
        loop {
            interval.tick().await;
            let certificates = Arc::clone(&self);
            if tokio::task::spawn_blocking(move || certificates.look()).await.is_err() {
                tracing::error!("the look at the certificates panicked");
            }
        }
    }

    /// Takes each pair of changed files that can be used; of another one, the files that are in use stay.
    fn look(&self) {
        let mut parts = self.parts.lock();
        let TlsParts { used, seen } = &mut *parts;
        let mut is_changed = false;
        for ((read, used), seen) in self.settings.read().into_iter().zip(used).zip(seen) {
            let now = read.as_ref().ok();
            if now == seen.as_ref() {
                continue;
            }
            *seen = now.cloned();
            match read.and_then(|part| TlsSettings::check(&part).map(|()| part)) {
                Ok(part) => {
                    is_changed |= part != *used;
                    *used = part;
                }
                Err(error) => tracing::error!("{error}; the files that were read before stay in use; {}", error.hint()),
            }
        }
        if is_changed {
            match self.settings.load(&parts.used) {
                Ok(loaded) => {
                    *self.loaded.lock() = loaded;
                    tracing::info!("changed certificates are in use");
                }
                Err(error) => tracing::error!("{error}; the certificates that were loaded before stay in use"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;
    use crate::server::tls::{CertificatePair, ClientAuth, MinVersion};

    /// Writes a pair for this name.
    fn write(folder: &Path, name: &str, year: i32) {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("cert"), params.self_signed(&key).unwrap().pem()).unwrap();
        fs::write(folder.join("key"), key.serialize_pem()).unwrap();
    }

    /// The way in which Kubernetes mounts a secret: a link to a folder, which is replaced as a whole.
    fn mount(root: &Path, folder: &str) {
        std::os::unix::fs::symlink(folder, root.join("next")).unwrap();
        fs::rename(root.join("next"), root.join("data")).unwrap();
    }

    #[test]
    fn a_good_pair_is_taken_and_a_bad_one_is_named_while_the_old_one_stays() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        write(&root.join("a"), "a.example", 2100);
        mount(root, "a");
        let [cert, key] = ["data/cert", "data/key"].map(|file| root.join(file));
        let pairs = vec![CertificatePair { cert: cert.clone(), key }];
        let settings = TlsSettings { pairs, client_auth: ClientAuth::None, min: MinVersion::Tls12 };
        let certificates = Certificates::load(settings.clone()).unwrap();
        let in_use = || Arc::as_ptr(certificates.acceptor().config());
        let (first, expiries) = (in_use(), certificates.expiries());
        certificates.look();
        assert_eq!((in_use(), expiries[0].0.as_path()), (first, cert.as_path()));
        write(&root.join("expired"), "a.example", 2001);
        write(&root.join("other"), "a.example", 2100);
        fs::copy(root.join("a/key"), root.join("other/key")).unwrap();
        fs::create_dir(root.join("none")).unwrap();
        write(&root.join("text"), "a.example", 2100);
        fs::write(root.join("text/cert"), "no certificate").unwrap();
        for (bad, said) in [
            ("expired", "has expired"),
            ("other", "is not that of the certificate in"),
            ("none", "can't be read"),
            ("text", "is no PEM file of certificates"),
        ] {
            mount(root, bad);
            certificates.look();
            assert_eq!((in_use(), certificates.expiries()), (first, expiries.clone()), "{bad}");
            let error = Certificates::load(settings.clone()).unwrap_err().to_string();
            assert!(error.contains(said) && error.contains("/data/"), "{error}");
        }
        write(&root.join("b"), "a.example", 2101);
        mount(root, "b");
        certificates.look();
        assert!(in_use() != first && certificates.expiries()[0].1 > expiries[0].1);
    }

    #[test]
    fn a_bad_pair_keeps_no_other_one_from_its_renewal() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let pairs: Vec<_> = ["a", "b"]
            .map(|name| {
                write(&root.join(name), &format!("{name}.example"), 2100);
                CertificatePair { cert: root.join(name).join("cert"), key: root.join(name).join("key") }
            })
            .into();
        let authorities = root.join("ca");
        fs::copy(root.join("a/cert"), &authorities).unwrap();
        let client_auth = ClientAuth::Optional(authorities.clone());
        let settings = TlsSettings { pairs, client_auth, min: MinVersion::Tls12 };
        let certificates = Certificates::load(settings).unwrap();
        let ends = || certificates.expiries().into_iter().map(|(_, end)| end).collect::<Vec<_>>();
        let before = ends();
        fs::remove_file(root.join("b/cert")).unwrap();
        fs::write(&authorities, "no certificate").unwrap();
        write(&root.join("a"), "a.example", 2101);
        certificates.look();
        assert!(ends()[0] > before[0]);
        assert_eq!(ends()[1], before[1]);
        write(&root.join("b"), "b.example", 2102);
        certificates.look();
        assert!(ends()[1] > ends()[0]);
    }
}
