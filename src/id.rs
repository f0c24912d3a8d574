//! Snapshot ids and cache keys: fixed-size values that are written as hexadecimal digits.

use std::fmt::{self, Write};
use std::str::FromStr;

use ring::digest;
use serde::{Deserialize, Serialize};

/// Snapshot id: 128 random bits, as 32 hexadecimal digits. It is a name and no capability: a reader must also have one of the snapshot's keys.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SnapshotId([u8; 16]);

/// Cache key (RFC 9111 §2): hash of the request, the caller and the validity moment. Requests with the same key may share a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CacheKey([u8; 32]);

/// Text that is no snapshot id and no cache key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not so many hexadecimal digits")]
pub struct IdError;

impl CacheKey {
    /// Hashes the parts that `parts` gives to its argument, without a secret (SHA-256), so that the key can be computed from the parts alone.
    pub fn from_parts(parts: impl FnOnce(&mut dyn FnMut(&[u8]))) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        parts(&mut |part| {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        });
        let mut key = [0; 32];
        key.copy_from_slice(context.finish().as_ref());
        Self(key)
    }
}

macro_rules! hexadecimal {
    ($name:ident, $bytes:literal) => {
        impl $name {
            pub(crate) const fn from_bytes(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                // `{byte:02x}` costs ten times as many instructions.
                let digits = self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]);
                digits.filter_map(|digit| char::from_digit(digit.into(), 16)).try_for_each(|digit| f.write_char(digit))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let mut bytes = [0; $bytes];
                let digits = text.as_bytes().chunks_exact(2);
                if text.len() != 2 * bytes.len() {
                    return Err(IdError);
                }
                for (byte, digits) in bytes.iter_mut().zip(digits) {
                    // Capital digits would give one snapshot a second name.
                    if digits.iter().any(|digit| !matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
                        return Err(IdError);
                    }
                    let digits = std::str::from_utf8(digits).map_err(|_| IdError)?;
                    *byte = u8::from_str_radix(digits, 16).map_err(|_| IdError)?;
                }
                Ok(Self(bytes))
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
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
hexadecimal!(CacheKey, 32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_only_as_it_is_written() {
        let id = SnapshotId([0x0f; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "0f", &"0F".repeat(16), &"+f".repeat(16), &"0f".repeat(17), &"é".repeat(16)] {
            assert_eq!(bad.parse::<SnapshotId>(), Err(IdError), "{bad:?}");
        }
    }
}
