//! Texts of the newest keys of a list, by their place in it.

use memchr::memrchr_iter;

use super::fingerprint::hash_of;

/// Bytes of the newest keys that are kept at least; all keys of a shorter list.
const KEPT: usize = 32 * 1024;

/// Texts of the newest keys, at most twice [`KEPT`] bytes and one key.
#[derive(Debug, Default)]
pub(super) struct KeyTexts {
    bytes: Vec<u8>,
    /// Ends of the keys in `bytes`.
    ends: Vec<usize>,
    /// A byte of each key's hash: a search is for one, and compares one key in 256.
    tags: Vec<u8>,
    /// Number of keys that are not kept any more.
    forgotten: u64,
}

impl KeyTexts {
    pub(super) fn push(&mut self, text: &[u8]) {
        if self.bytes.len() + text.len() > 2 * KEPT {
            self.forget();
        }
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
        self.tags.push(tag_of(text));
    }

    pub(super) fn end(&self) -> u64 {
        self.forgotten + self.ends.len() as u64
    }

    /// Place of the oldest key that is kept.
    pub(super) fn first(&self) -> u64 {
        self.forgotten
    }

    pub(super) fn get(&self, place: u64) -> Option<&[u8]> {
        let at = usize::try_from(place.checked_sub(self.forgotten)?).ok()?;
        let end = *self.ends.get(at)?;
        Some(&self.bytes[at.checked_sub(1).map_or(0, |before| self.ends[before])..end])
    }

    pub(super) fn last(&self) -> Option<&[u8]> {
        self.get(self.end().checked_sub(1)?)
    }

    /// Last place of a key, of the first `end`.
    pub(super) fn place_of(&self, text: &[u8], end: u64) -> Option<u64> {
        let kept = usize::try_from(end.saturating_sub(self.forgotten)).unwrap_or(usize::MAX).min(self.tags.len());
        let mut places = memrchr_iter(tag_of(text), &self.tags[..kept]).map(|at| self.forgotten + at as u64);
        places.find(|place| self.get(*place) == Some(text))
    }

    pub(super) fn truncate(&mut self, end: u64) {
        let kept = usize::try_from(end.saturating_sub(self.forgotten)).unwrap_or(usize::MAX);
        self.ends.truncate(kept);
        self.tags.truncate(kept);
        self.bytes.truncate(self.ends.last().copied().unwrap_or(0));
    }

    fn forget(&mut self) {
        let surplus = self.bytes.len().saturating_sub(KEPT);
        let count = self.ends.partition_point(|end| *end <= surplus);
        let Some(dropped) = count.checked_sub(1).map(|last| self.ends[last]) else { return };
        self.bytes.drain(..dropped);
        self.ends.drain(..count);
        self.tags.drain(..count);
        self.ends.iter_mut().for_each(|end| *end -= dropped);
        self.forgotten += count as u64;
    }
}

fn tag_of(text: &[u8]) -> u8 {
    hash_of(text) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_keys_are_found_at_their_places() {
        let mut texts = KeyTexts::default();
        for number in 0..20_000_u64 {
            texts.push(format!("\"ord_{number}\"").as_bytes());
            assert!(texts.bytes.len() <= 2 * KEPT && texts.end() == number + 1);
        }
        let find = |number: u64, end: u64| texts.place_of(format!("\"ord_{number}\"").as_bytes(), end);
        assert!(texts.first() > 0 && find(0, 20_000).is_none() && texts.get(texts.first() - 1).is_none());
        assert_eq!((find(19_998, 20_000), find(19_998, 19_998)), (Some(19_998), None));
        texts.truncate(19_000);
        assert_eq!((texts.end(), texts.get(18_999), texts.get(19_000)), (19_000, Some(&b"\"ord_18999\""[..]), None));
        texts.truncate(0);
        assert!(texts.get(texts.first()).is_none() && texts.last().is_none());
    }
}
