//! The judge: compares a clean end with the orders themselves, and knows nothing of the proxy but its words.

use std::collections::BTreeMap;
use std::fmt;
use std::process::Output;

use serde_json::Value;
use unpage::pagination::Consistency;

use super::case::Case;
use super::form::Form;
use crate::client::Received;

/// End of a stream as its client sees it.
pub(super) struct End {
    /// The verdict's word of a clean end; none of a visible break.
    word: Option<String>,
    /// Records as a reader of the format gives them; none where it refuses the body.
    records: Option<Vec<String>>,
    said: String,
}

/// Outcomes of all cases.
#[derive(Default)]
pub(super) struct Tally {
    /// Number of clean ends with all orders, by the verdict's word.
    right: BTreeMap<String, u64>,
    broken: u64,
    /// Number of clean ends with other orders that nothing contradicts, and that say so.
    untold: u64,
    pub(super) failures: Vec<String>,
}

impl End {
    /// End of a response with an end marker, or with a verdict in a field.
    pub(super) fn of_stream(form: Form, received: &Received) -> Self {
        if received.head.status != 200 {
            let said = String::from_utf8_lossy(&received.body).into_owned();
            return Self { word: None, records: None, said };
        }
        let (body, word, said) = if form.is_ndjson() { Self::of_marker(received) } else { Self::of_field(received) };
        let word = word.filter(|_| received.broken.is_none());
        assert!(word.is_some() || received.broken.is_some(), "a clean end without a verdict: {said}");
        Self { word, records: form.read(&body), said }
    }

    fn of_marker(received: &Received) -> (Vec<u8>, Option<String>, String) {
        let text = String::from_utf8_lossy(&received.body).into_owned();
        let (lines, marker) = match text.trim_end().rsplit_once('\n') {
            Some((lines, marker)) => (format!("{lines}\n"), marker.to_owned()),
            None => (String::new(), text.trim_end().to_owned()),
        };
        let marker: Value = serde_json::from_str(&marker).unwrap_or_default();
        let word = marker["_unpage"]["verdict"]["consistency"].as_str().map(ToOwned::to_owned);
        // The marker of a broken stream stands behind a line that is no JSON.
        let body = if received.broken.is_some() { Vec::new() } else { lines.into_bytes() };
        (body, word, marker.to_string())
    }

    fn of_field(received: &Received) -> (Vec<u8>, Option<String>, String) {
        let head = received.header("unpage-verdict");
        let trailer = received.trailers.get("unpage-verdict").map(|value| value.to_str().unwrap());
        let said = head.or(trailer).unwrap_or_default().to_owned();
        let word = said.split(';').next().filter(|word| !word.is_empty()).map(ToOwned::to_owned);
        (received.body.clone(), word, said)
    }

    /// End of a `fetch`, which left this body.
    pub(super) fn of_fetch(form: Form, output: &Output, body: &[u8]) -> Self {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let word = |word: &&str| said.contains(&format!("; {word}: "));
        let word = Consistency::WORDS.into_iter().find(word).filter(|_| output.status.success());
        assert_eq!(output.status.success(), word.is_some(), "{said}");
        let records = if body.is_empty() && word.is_none() { None } else { form.read(body) };
        Self { word: word.map(ToOwned::to_owned), records, said }
    }
}

impl Tally {
    pub(super) fn judge(&mut self, case: &Case, end: &End) {
        let is_right = end.records.as_ref() == Some(&case.form.expected(case.records));
        let problem = match &end.word {
            None if end.records.as_ref().is_some_and(|records| !records.is_empty()) => {
                "breaks and can be read as whole"
            }
            None if case.must_succeed() => "breaks although all of it can be read",
            None => return self.broken += 1,
            Some(word) if is_right => return *self.right.entry(word.clone()).or_default() += 1,
            Some(_) if case.contradicts() => "ends cleanly with other orders, and the upstream contradicts",
            Some(word) if word != "unverified" && !case.hides() => {
                "ends cleanly with other orders, and vouches for them"
            }
            Some(_) => return self.untold += 1,
        };
        let count = end.records.as_ref().map_or(0, Vec::len);
        self.failures.push(format!("{case:?}\n  {problem}: {count} orders; {}", end.said.trim_end()));
    }

    /// True if every kind of outcome has come.
    pub(super) fn has_seen_all(&self) -> bool {
        let words = ["steady", "unverified"];
        self.broken > 0 && self.untold > 0 && words.into_iter().all(|word| self.right.contains_key(word))
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { right, broken, untold, failures } = self;
        write!(f, "right {right:?}, broken {broken}, wrong and untold {untold}, failures {}", failures.len())
    }
}
