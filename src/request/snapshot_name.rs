//! Name of a snapshot in a URL: its id, or `~` and the name of a session, which the client chooses.

use std::str::FromStr;

use crate::id::{IdError, SnapshotId};

/// Largest length of a session's name, in bytes.
const LONGEST: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotName {
    Id(SnapshotId),
    Session(SessionName),
}

/// Name of a session: 1 to 64 ASCII letters, digits, `.`, `-` and `_`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionName(String);

impl SessionName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SnapshotName {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let Some(name) = text.strip_prefix('~') else { return text.parse().map(Self::Id) };
        let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        let is_name = (1..=LONGEST).contains(&name.len()) && name.bytes().all(is_of_name);
        if is_name { Ok(Self::Session(SessionName(name.to_owned()))) } else { Err(IdError) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_has_a_short_name_of_plain_characters() {
        for name in ["a", "2026-11-30.daily_7", &"x".repeat(64)] {
            let read = format!("~{name}").parse();
            assert!(matches!(&read, Ok(SnapshotName::Session(read)) if read.as_str() == name), "{read:?}");
        }
        for bad in ["~", "~a b", "~a/b", "~é", "~~a", &format!("~{}", "x".repeat(65)), "a", ""] {
            assert_eq!(bad.parse::<SnapshotName>(), Err(IdError), "{bad:?}");
        }
        assert!(matches!("0f".repeat(16).parse(), Ok(SnapshotName::Id(_))));
    }
}
