//! A secret, and the file that it came from.

use std::fmt;
use std::path::{Path, PathBuf};

/// Text that no message and no `Debug` output shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    text: String,
    file: Option<PathBuf>,
}

impl Secret {
    pub fn new(text: String) -> Self {
        Self { text, file: None }
    }

    /// The secret that stood in this file when the configuration was read.
    pub fn in_file(text: String, file: &Path) -> Self {
        Self { text, file: Some(file.to_owned()) }
    }

    /// Returns the text, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Returns true where both come from the same file, or else are the same text: a file is read again when it changes.
    pub fn is_same_source(&self, other: &Self) -> bool {
        self.file == other.file && (self.file.is_some() || self.text == other.text)
    }

    /// File that the secret came from.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
