//! A secret of the configuration, read again where its file has changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::placed_secret::PlacedSecret;
use crate::config::{Secret, SecretPlace, without_line_end};
use crate::upstream::file_stamp::{FileStamp, INTERVAL};

/// A secret of the configuration and, where a file has it, the newest text of that file.
#[derive(Debug)]
pub(crate) struct FollowedSecret {
    place: SecretPlace,
    file: Option<PathBuf>,
    read: Mutex<ReadSecret>,
}

#[derive(Debug)]
struct ReadSecret {
    placed: Arc<PlacedSecret>,
    looked: Option<Instant>,
    stamp: Option<FileStamp>,
}

impl FollowedSecret {
    pub(super) fn new(place: &SecretPlace, secret: &Secret) -> Self {
        let placed = Arc::new(PlacedSecret::new(place, secret.expose()));
        let read = Mutex::new(ReadSecret { placed, looked: None, stamp: None });
        Self { place: place.clone(), file: secret.file().map(Path::to_owned), read }
    }

    /// A secret that stands in no place of an upstream's requests, so that it may be any text.
    pub(crate) fn unplaced(secret: &Secret) -> Self {
        Self::new(&SecretPlace::Query(String::new()), secret)
    }

    /// Returns the text of the secret; looks at its file at most once a second.
    pub(crate) fn text(&self) -> Secret {
        Secret::new(self.current().text().to_owned())
    }

    /// Returns the secret; looks at its file at most once a second.
    pub(super) fn current(&self) -> Arc<PlacedSecret> {
        let Some(file) = &self.file else { return Arc::clone(&self.read.lock().placed) };
        let mut read = self.read.lock();
        if read.looked.is_none_or(|looked| looked.elapsed() >= INTERVAL) {
            read.look(file, &self.place);
        }
        Arc::clone(&read.placed)
    }

    /// Returns the secret after the upstream has refused this one: another one, if there is any by now.
    pub(super) fn after(&self, refused: &Arc<PlacedSecret>) -> Option<Arc<PlacedSecret>> {
        let mut read = self.read.lock();
        if let Some(file) = &self.file
            && Arc::ptr_eq(&read.placed, refused)
        {
            read.look(file, &self.place);
        }
        (!Arc::ptr_eq(&read.placed, refused)).then(|| Arc::clone(&read.placed))
    }

    pub(super) fn secrets(&self) -> Vec<String> {
        self.read.lock().placed.secrets()
    }
}

impl ReadSecret {
    /// Reads the file if it has changed. While it can't be read, or has no secret, the last one stays in use.
    fn look(&mut self, file: &Path, place: &SecretPlace) {
        self.looked = Some(Instant::now());
        let Some(stamp) = FileStamp::of(file) else { return };
        if self.stamp.replace(stamp) == Some(stamp) {
            return;
        }
        match fs::read_to_string(file).map_err(|error| error.to_string()).and_then(|text| placed(place, &text)) {
            Ok(placed) if *placed.text() == *self.placed.text() => {}
            Ok(placed) => {
                self.placed = Arc::new(placed);
                tracing::info!("the changed secret of the file {} is in use", file.display());
            }
            Err(why) => tracing::warn!("file {}: {why}; the secret that was read before stays in use", file.display()),
        }
    }
}

/// Returns the text that the secret's file has now; where it has none, the configured one.
pub(super) fn newest(secret: &Secret) -> String {
    let file = secret.file().filter(|file| FileStamp::of(file).is_some());
    let text = file.and_then(|file| fs::read_to_string(file).ok());
    let text = text.as_deref().map(without_line_end).filter(|text| !text.is_empty());
    text.unwrap_or(secret.expose()).to_owned()
}

fn placed(place: &SecretPlace, text: &str) -> Result<PlacedSecret, String> {
    match without_line_end(text) {
        "" => Err("it is empty".to_owned()),
        text if !place.carries(text) => Err("a header field can't carry its text".to_owned()),
        text => Ok(PlacedSecret::new(place, text)),
    }
}
