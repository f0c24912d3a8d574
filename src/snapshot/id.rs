//! What a snapshot is called, and what it is a snapshot of.

use std::fmt;
use std::str::FromStr;

use ring::digest;
use serde::{Deserialize, Serialize};

/// A snapshot's name: 128 random bits, as 32 hexadecimal digits. Who knows it still has to be who it was made for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SnapshotId(pub(super) [u8; 16]);

/// What is asked for, by whom and as of when, as a keyed hash: two requests with the same key may share a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key(pub(super) [u8; 32]);

/// Not the digits of a name or key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not so many hexadecimal digits")]
pub struct NotHex;

impl Key {
    /// The key of what these parts say, without a secret: whoever knows the parts knows the key.
    pub fn plain<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        for part in parts {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        let mut key = [0; 32];
        key.copy_from_slice(context.finish().as_ref());
        Self(key)
    }
}

macro_rules! hexadecimal {
    ($name:ident, $bytes:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = NotHex;

            fn from_str(text: &str) -> Result<Self, NotHex> {
                let mut bytes = [0; $bytes];
                let digits = text.as_bytes().chunks_exact(2);
                if text.len() != 2 * bytes.len() {
                    return Err(NotHex);
                }
                for (byte, digits) in bytes.iter_mut().zip(digits) {
                    // Capitals would make a second name of one snapshot.
                    if digits.iter().any(|digit| !matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
                        return Err(NotHex);
                    }
                    let digits = std::str::from_utf8(digits).map_err(|_| NotHex)?;
                    *byte = u8::from_str_radix(digits, 16).map_err(|_| NotHex)?;
                }
                Ok(Self(bytes))
            }
        }

        impl TryFrom<String> for $name {
            type Error = NotHex;

            fn try_from(text: String) -> Result<Self, NotHex> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    };
}

hexadecimal!(SnapshotId, 16);
hexadecimal!(Key, 32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written_and_in_no_other_way() {
        let id = SnapshotId([0x0f; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "0f", &"0F".repeat(16), &"+f".repeat(16), &"0f".repeat(17), &"é".repeat(16)] {
            assert_eq!(bad.parse::<SnapshotId>(), Err(NotHex), "{bad:?}");
        }
    }
}
