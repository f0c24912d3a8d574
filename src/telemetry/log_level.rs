//! Level of the log, which an operator changes while the process runs.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

/// Puts a level into force, or tells what is wrong with its text.
type Apply = dyn Fn(&str) -> Result<(), String> + Send + Sync;

/// Level of a process; clones share it.
#[derive(Clone)]
pub struct LogLevel(Arc<SharedLevel>);

struct SharedLevel {
    current: Mutex<String>,
    apply: Box<Apply>,
}

impl LogLevel {
    /// Makes a level that is `current` now, and that `apply` changes.
    pub fn new(current: String, apply: impl Fn(&str) -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(SharedLevel { current: Mutex::new(current), apply: Box::new(apply) }))
    }

    pub fn current(&self) -> String {
        self.0.current.lock().clone()
    }

    /// Changes the level.
    ///
    /// # Errors
    /// Fails with what is wrong with the text; the level stays.
    pub fn set(&self, level: &str) -> Result<(), String> {
        // Held meanwhile, so that of two changes at once the later one is also the one that is shown.
        let mut current = self.0.current.lock();
        (self.0.apply)(level)?;
        level.clone_into(&mut current);
        Ok(())
    }
}

impl fmt::Debug for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogLevel").field(&*self.0.current.lock()).finish()
    }
}
