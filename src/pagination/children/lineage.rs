//! Lineage: the keys of the parents that a list belongs to.

use std::fmt;
use std::sync::Arc;

use super::ParentKey;

/// Keys of a list's parents, from the outermost to its own; clones share them. Empty for a list without a parent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lineage {
    ancestors: Arc<[Ancestor]>,
}

/// Parent of a list, or of a parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ancestor {
    /// Name of the path's segment that has the key.
    pub segment: Arc<str>,
    pub key: ParentKey,
}

impl Lineage {
    /// The lineage of a child of `self`.
    #[must_use]
    pub fn with(&self, segment: &Arc<str>, key: ParentKey) -> Self {
        let own = Ancestor { segment: Arc::clone(segment), key };
        Self { ancestors: self.ancestors.iter().cloned().chain([own]).collect() }
    }

    pub fn ancestors(&self) -> &[Ancestor] {
        &self.ancestors
    }

    /// Text that tells the lists of one collection apart. A key has no NUL.
    pub fn identity(&self) -> String {
        let texts: Vec<_> = self.ancestors.iter().map(|ancestor| ancestor.key.text()).collect();
        texts.join("\0")
    }

    /// Estimated bytes in memory.
    pub fn bytes(&self) -> usize {
        self.ancestors.iter().map(|Ancestor { key, .. }| key.json().len() + key.text().len() + 64).sum()
    }
}

impl fmt::Display for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Ancestor { segment, key }) in self.ancestors.iter().enumerate() {
            write!(f, "{}{segment} {}", if at == 0 { "" } else { ", " }, key.text())?;
        }
        Ok(())
    }
}
