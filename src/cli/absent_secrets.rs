//! Secrets that need not be there: for commands that send no request.

use std::cell::RefCell;
use std::path::Path;

use crate::config::{Machine, Secrets};

/// Value of a secret that is absent.
pub(super) const ABSENT: &str = "absent";

/// Secrets of this machine; one that is absent has a value all the same, and is noted.
#[derive(Default)]
pub(super) struct SecretsOrNone(RefCell<Vec<String>>);

impl SecretsOrNone {
    /// Returns the secrets that were absent, each with the reason.
    pub(super) fn absent(self) -> Vec<String> {
        self.0.into_inner()
    }

    fn or_none(&self, read: Result<String, String>, place: &str) -> Result<String, String> {
        let read = read.and_then(|text| if text.trim().is_empty() { Err("empty".to_owned()) } else { Ok(text) });
        read.or_else(|why| {
            self.0.borrow_mut().push(format!("{place}: {why}: `serve` needs it when it starts"));
            Ok(ABSENT.to_owned())
        })
    }
}

impl Secrets for SecretsOrNone {
    fn env(&self, name: &str) -> Result<String, String> {
        self.or_none(Machine.env(name), &format!("environment variable {name}"))
    }

    fn file(&self, path: &Path) -> Result<String, String> {
        self.or_none(Machine.file(path), &format!("file {}", path.display()))
    }
}
