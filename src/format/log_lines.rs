//! Lines of a log whose bytes come in pieces that are cut anywhere.

use memchr::memchr;

#[derive(Debug, Default)]
pub(super) struct LogLines {
    /// Beginning of the newest line.
    begun: Vec<u8>,
}

impl LogLines {
    /// Calls `each` with every line that ends in these bytes, without its newline.
    ///
    /// # Errors
    /// Fails with the first error of `each`.
    pub(super) fn push<E>(&mut self, mut bytes: &[u8], mut each: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        while let Some(end) = memchr(b'\n', bytes) {
            if self.begun.is_empty() {
                each(&bytes[..end])?;
            } else {
                self.begun.extend_from_slice(&bytes[..end]);
                each(&self.begun)?;
                self.begun.clear();
            }
            bytes = &bytes[end + 1..];
        }
        self.begun.extend_from_slice(bytes);
        Ok(())
    }
}
