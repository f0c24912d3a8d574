//! Secrets that need not be there: for commands that send no request, or requests to some upstreams alone.

use std::cell::RefCell;
use std::path::Path;

use super::secrets::Secrets;

/// Secrets of another source; one that is absent or empty has a value all the same, and is noted.
pub(crate) struct OptionalSecrets<'a> {
    source: &'a dyn Secrets,
    absent: RefCell<Vec<String>>,
}

impl<'a> OptionalSecrets<'a> {
    /// Value of a secret that is absent.
    pub(crate) const ABSENT: &'static str = "absent";

    pub(crate) fn of(source: &'a dyn Secrets) -> Self {
        Self { source, absent: RefCell::default() }
    }

    /// Returns the secrets that were absent, each with the reason.
    #[cfg(feature = "cli")]
    pub(crate) fn absent(self) -> Vec<String> {
        self.absent.into_inner()
    }

    fn or_absent(&self, read: Result<String, String>, place: &str) -> String {
        let read = read.and_then(|text| if text.trim().is_empty() { Err("empty".to_owned()) } else { Ok(text) });
        read.unwrap_or_else(|why| {
            self.absent.borrow_mut().push(format!("{place}: {why}: `serve` needs it when it starts"));
            Self::ABSENT.to_owned()
        })
    }
}

impl Secrets for OptionalSecrets<'_> {
    fn env(&self, name: &str) -> Result<String, String> {
        Ok(self.or_absent(self.source.env(name), &format!("environment variable {name}")))
    }

    fn file(&self, path: &Path) -> Result<String, String> {
        Ok(self.or_absent(self.source.file(path), &format!("file {}", path.display())))
    }
}
