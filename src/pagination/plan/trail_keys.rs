//! Keys of a list's newest records, cut at the place behind which the next page is asked for.

use super::key_texts::KeyTexts;

/// Keys in front of a place in the list, and behind it.
#[derive(Debug, Default)]
pub(super) struct TrailKeys {
    /// Keys in front of the place, in the list's order.
    passed: KeyTexts,
    /// Number of passed keys before the page under way.
    settled: u64,
    /// Keys behind the place, the nearest one last: their records came with a page from which the walk has stepped back.
    ahead: KeyTexts,
    /// Keys right in front of the place, as they were noted: those that are recalled stand before them.
    noted: Vec<String>,
}

/// Place of a record, relative to the key that its page was asked for behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TrailPlace {
    /// The record with that key.
    Start,
    /// In front of it.
    Passed,
    /// Behind it, by its place among the keys ahead.
    Ahead(u64),
    New,
}

impl TrailKeys {
    /// Place of a key. Passed ones are looked for only where the page may have begun with them.
    pub(super) fn place_of(&self, text: &[u8], looks_back: bool) -> TrailPlace {
        // A walk that goes forward hashes no key for a look at nothing.
        if self.ahead.end() > 0
            && let Some(place) = self.ahead.place_of(text, self.ahead.end())
        {
            return TrailPlace::Ahead(place);
        }
        match looks_back.then(|| self.passed.place_of(text, self.settled)).flatten() {
            Some(place) if place + 1 == self.settled => TrailPlace::Start,
            Some(_) => TrailPlace::Passed,
            None => TrailPlace::New,
        }
    }

    /// Passes the next key of the page under way.
    pub(super) fn pass(&mut self, text: &[u8]) {
        self.passed.push(text);
    }

    /// Takes over the page's keys. Those ahead are passed up to the last one that it had: the others of them are gone.
    pub(super) fn end_page(&mut self, met: Option<u64>) {
        self.settled = self.passed.end();
        self.ahead.truncate(met.unwrap_or(u64::MAX));
    }

    pub(super) fn drop_page(&mut self) {
        self.passed.truncate(self.settled);
        for text in std::mem::take(&mut self.noted) {
            self.passed.push(text.as_bytes());
        }
        self.settled = self.passed.end();
    }

    /// Moves the place back by `keys`, at most to the list's beginning or to the oldest key that is kept. Returns false where no key
    /// is kept in front of it, or too many behind it.
    pub(super) fn step_back(&mut self, keys: u64) -> bool {
        self.drop_page();
        let kept = self.passed.end() - self.passed.first();
        let most = if self.passed.first() == 0 { kept } else { kept.saturating_sub(1) };
        let keys = keys.min(most);
        for _ in 0..keys {
            let Some(text) = self.passed.last() else { break };
            self.ahead.push(text);
            self.passed.truncate(self.passed.end() - 1);
        }
        self.settled = self.passed.end();
        keys > 0 && self.ahead.first() == 0
    }

    /// Moves the place back to right behind this key, or to the list's beginning. Returns false where a key in between is not kept.
    pub(super) fn return_to(&mut self, key: Option<&[u8]>) -> bool {
        self.drop_page();
        self.ahead.truncate(0);
        let end = self.passed.end();
        let place = match key {
            None => (self.passed.first() == 0).then_some(0),
            Some(key) => self.passed.place_of(key, end).map(|place| place + 1),
        };
        place.is_some_and(|place| place == end || self.step_back(end - place))
    }

    /// Takes over the keys ahead, the nearest one last, and those in front of the place that were noted; all others follow.
    pub(super) fn resume<'a>(&mut self, ahead: impl IntoIterator<Item = &'a str>, noted: Vec<String>) {
        *self = Self { noted, ..Self::default() };
        ahead.into_iter().for_each(|text| self.ahead.push(text.as_bytes()));
    }

    /// Passes a key that came before the walk was interrupted, unless it is ahead or was noted.
    pub(super) fn recall(&mut self, text: &[u8]) {
        let is_noted = self.noted.iter().any(|noted| noted.as_bytes() == text);
        if !is_noted && !matches!(self.place_of(text, false), TrailPlace::Ahead(_)) {
            self.passed.push(text);
        }
        self.settled = self.passed.end();
    }

    /// Keys behind this one, or all that are kept, in the list's order.
    pub(super) fn texts_behind(&self, key: Option<&[u8]>) -> Vec<String> {
        let end = self.passed.end();
        let first = key.and_then(|key| self.passed.place_of(key, end)).map_or(self.passed.first(), |place| place + 1);
        let texts = (first..end).filter_map(|place| self.passed.get(place));
        texts.map(|text| String::from_utf8_lossy(text).into_owned()).collect()
    }

    pub(super) fn forget_ahead(&mut self) {
        self.ahead.truncate(0);
    }

    /// Key behind which the next page is asked for; none for the list's beginning.
    pub(super) fn behind(&self) -> Option<&[u8]> {
        self.passed.last()
    }

    pub(super) fn is_at_beginning(&self) -> bool {
        self.passed.end() == 0
    }

    /// Number of keys in front of the place, also of those that are not kept.
    pub(super) fn passed(&self) -> u64 {
        self.passed.end()
    }

    pub(super) fn ahead(&self) -> u64 {
        self.ahead.end()
    }

    /// Keys behind the place, the nearest one last.
    pub(super) fn texts_ahead(&self) -> Vec<String> {
        let texts = (self.ahead.first()..self.ahead.end()).filter_map(|place| self.ahead.get(place));
        texts.map(|text| String::from_utf8_lossy(text).into_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(last: u64) -> TrailKeys {
        let mut keys = TrailKeys::default();
        (1..=last).for_each(|key| keys.pass(key.to_string().as_bytes()));
        keys.end_page(None);
        keys
    }

    #[test]
    fn keys_are_ahead_behind_a_step_back_and_passed_again_with_the_pages_that_have_them() {
        let mut keys = keys(6);
        assert!(keys.step_back(3) && keys.behind() == Some(b"3"));
        let places = [b"2", b"3", b"4", b"6", b"7"].map(|key| keys.place_of(key, true));
        let ahead = TrailPlace::Ahead;
        assert_eq!(places, [TrailPlace::Passed, TrailPlace::Start, ahead(2), ahead(0), TrailPlace::New]);
        assert_eq!(keys.place_of(b"3", false), TrailPlace::New);
        // A page that is dropped changes nothing.
        keys.pass(b"5");
        keys.drop_page();
        assert_eq!((keys.behind(), keys.ahead()), (Some(&b"3"[..]), 3));
        // 4 is gone.
        keys.pass(b"5");
        keys.end_page(Some(1));
        assert_eq!((keys.behind(), keys.passed(), keys.ahead()), (Some(&b"5"[..]), 4, 1));
        assert_eq!((keys.place_of(b"6", true), keys.place_of(b"4", true)), (ahead(0), TrailPlace::New));
        assert!(keys.step_back(9) && keys.is_at_beginning() && keys.behind().is_none() && keys.ahead() == 5);
        assert!(!keys.step_back(1));
    }

    #[test]
    fn keys_ahead_are_resumed_whatever_the_order_in_which_records_left() {
        let mut keys = keys(6);
        assert!(keys.step_back(3));
        let texts = keys.texts_ahead();
        assert_eq!(texts, ["6", "5", "4"]);
        keys.resume(texts.iter().map(String::as_str), Vec::new());
        [1, 4, 2, 5, 6, 3].iter().for_each(|key: &u64| keys.recall(key.to_string().as_bytes()));
        assert_eq!((keys.behind(), keys.passed(), keys.texts_ahead()), (Some(&b"3"[..]), 3, texts));
    }

    #[test]
    fn keys_that_left_in_another_order_are_resumed_in_that_of_the_list() {
        let mut keys = keys(6);
        let noted = keys.texts_behind(Some(b"2"));
        assert_eq!(noted, ["3", "4", "5", "6"]);
        keys.resume([], noted);
        // 4 was late.
        [1, 2, 3, 5, 6, 4].iter().for_each(|key: &u64| keys.recall(key.to_string().as_bytes()));
        keys.drop_page();
        assert_eq!(
            (keys.passed(), keys.texts_behind(None)),
            (6, ["1", "2", "3", "4", "5", "6"].map(String::from).to_vec())
        );
        assert!(keys.return_to(Some(b"3")) && keys.behind() == Some(b"3") && keys.ahead() == 3);
    }

    #[test]
    fn no_step_leads_in_front_of_the_oldest_key_that_is_kept_or_forgets_one_ahead() {
        let mut many = keys(50_000);
        assert!(many.step_back(u64::MAX) && !many.is_at_beginning() && many.behind().is_some());
        assert!(!many.step_back(1));
        // Other keys take the place of those that are ahead now.
        (50_000..100_000_u64).for_each(|key| many.pass(key.to_string().as_bytes()));
        many.end_page(None);
        assert!(!many.step_back(u64::MAX));
    }

    #[test]
    fn a_page_of_more_keys_than_are_kept_leaves_none_where_it_is_dropped() {
        let mut keys = keys(3);
        (10..50_000_u64).for_each(|key| keys.pass(key.to_string().as_bytes()));
        assert!(!keys.step_back(1) && !keys.is_at_beginning());
    }
}
