//! Keys of a list's newest records, by their place among all that came.

use memchr::memrchr_iter;

use super::fingerprint::hash_of;

/// Bytes of the newest keys that are kept at least, where so many came.
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

    /// Number of keys that came.
    pub(super) fn end(&self) -> u64 {
        self.forgotten + self.ends.len() as u64
    }

    /// Place of the oldest key that is kept.
    pub(super) fn first(&self) -> u64 {
        self.forgotten
    }

    pub(super) fn get(&self, place: u64) -> Option<&[u8]> {
        let at = usize::try_from(place.checked_sub(self.forgotten)?).ok()?;
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before.min(self.ends.len() - 1)]);
        Some(&self.bytes[start..*self.ends.get(at)?])
    }

    /// Place of a key, of the first `end`; it is most likely at `hint`.
    pub(super) fn place_of(&self, text: &[u8], end: u64, hint: u64) -> Option<u64> {
        let is_it = |place: &u64| self.get(*place) == Some(text);
        let likely = Some(hint).filter(|hint| *hint < end).filter(is_it);
        likely.or_else(|| {
            let kept = usize::try_from(end.saturating_sub(self.forgotten)).unwrap_or(usize::MAX).min(self.tags.len());
            memrchr_iter(tag_of(text), &self.tags[..kept]).map(|at| self.forgotten + at as u64).find(is_it)
        })
    }

    /// Place in front of another one, by twice as many records with each step; none at the list's beginning. `None` where nothing is known.
    pub(super) fn earlier(&self, anchor: u64, steps: u32) -> Option<Option<u64>> {
        let distance = 1_u64.checked_shl(steps).unwrap_or(u64::MAX);
        match anchor.checked_sub(distance) {
            Some(place) if place >= self.first() => Some(Some(place)),
            None if self.first() == 0 => Some(None),
            _ => (self.first() < anchor).then_some(Some(self.first())),
        }
    }

    /// Drops the keys from this place on.
    pub(super) fn truncate(&mut self, end: u64) {
        let kept = usize::try_from(end.saturating_sub(self.forgotten)).unwrap_or(usize::MAX);
        self.ends.truncate(kept);
        self.tags.truncate(kept);
        self.bytes.truncate(self.ends.last().copied().unwrap_or(0));
    }

    /// Puts keys at a place, and behind them those that stood there and are not among them.
    pub(super) fn renew(&mut self, from: u64, newer: &[Box<[u8]>]) {
        let is_left = |text: &[u8]| newer.iter().all(|newer| **newer != *text);
        let rest: Vec<Box<[u8]>> = (from..self.end())
            .filter_map(|place| self.get(place))
            .filter(|text| is_left(text))
            .map(Into::into)
            .collect();
        self.truncate(from);
        newer.iter().chain(&rest).for_each(|text| self.push(text));
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
        let find = |number: u64, end: u64| texts.place_of(format!("\"ord_{number}\"").as_bytes(), end, 0);
        assert!(texts.first() > 0 && find(0, 20_000).is_none() && texts.get(texts.first() - 1).is_none());
        assert_eq!((find(19_998, 20_000), find(19_998, 19_998)), (Some(19_998), None));
        texts.truncate(19_000);
        assert_eq!((texts.end(), texts.get(18_999), texts.get(19_000)), (19_000, Some(&b"\"ord_18999\""[..]), None));
        texts.renew(18_998, &[b"7".as_slice().into(), b"\"ord_18999\"".as_slice().into()]);
        let newest: Vec<_> = (18_998..texts.end()).map(|place| texts.get(place).unwrap()).collect();
        assert_eq!(newest, [&b"7"[..], b"\"ord_18999\"", b"\"ord_18998\""]);
        texts.truncate(0);
        assert!(texts.get(texts.first()).is_none());
    }
}
