//! Verdict on a collection that was read to its proven end: the proof, and the consistency of the records as one list.

use std::fmt;
use std::time::SystemTime;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

use super::children::ListsSummary;
pub use super::doubt::Doubt;
use super::proof::Proof;

/// Verdict on a complete crawl, in the names that status resources and journals have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Number of records.
    pub records: u64,
    /// Number of pages that they came from.
    pub pages: u64,
    /// Number of requests to the upstream, with retries; of a resumed crawl without those whose page an interruption lost.
    #[serde(default)]
    pub requests: u64,
    /// Signals that proved the end, as a phrase: "no next address".
    pub proof: String,
    /// Consistency of the records as one list.
    #[serde(flatten, deserialize_with = "unverified_if_unknown")]
    pub consistency: Consistency,
    /// Word for it that records keep their order, where the consistency relies on that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<RecordOrder>,
    /// Number of records whose key had come before, and that were dropped.
    #[serde(default)]
    pub doubles: u64,
    /// Number of records that were inserted before the place that the crawl had reached, as far as it saw them.
    #[serde(default)]
    pub late: u64,
    /// Lists of the parents, of a stream of children.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lists: Option<Box<ListsSummary>>,
}

/// Consistency of a crawl's records as one list.
///
/// Its promises hold under the assumptions that docs/completeness.md names: a page is of one moment, records keep their order, and a
/// key identifies a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "consistency", rename_all = "lowercase")]
pub enum Consistency {
    /// Every record that existed throughout the crawl is there once, and none had moved.
    Steady,
    /// As [`Steady`](Self::Steady); records had moved, and what they left uncertain was read again.
    Mended {
        /// Number of places where two pages did not meet as they should.
        shifts: u64,
        /// Number of pages that were requested again for it.
        again: u64,
        /// Number of steps back to a record that was known.
        back: u64,
    },
    /// Records moved during the crawl, and some may be missing or doubled.
    Moved {
        /// Sign of it, as a phrase.
        why: String,
    },
    /// The records are the collection as it was at one moment.
    Snapshot {
        /// That moment by the upstream's clock, where its answers carry a `Date`.
        #[serde(default, with = "rfc3339", skip_serializing_if = "Option::is_none")]
        at: Option<SystemTime>,
    },
    /// The upstream was asked for one state in every request, and answered for that.
    Upstream {
        /// Name of the state, as a phrase: "`as_of` in every request".
        by: String,
    },
    /// Nothing shows that the collection stood still, nor that it moved.
    Unverified {
        /// Missing evidence, as a phrase.
        why: String,
    },
}

/// Word for it that records keep their order: one that stays does not move past another. A read can refute that, and never prove it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordOrder {
    /// None: it is a guess that nothing refuted.
    Assumed,
    /// The operator's (`stable_order = true`).
    Configured,
}

/// Policy for a collection whose end is proven, and whose records moved while they were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnMissed {
    /// The stream breaks: records are likely missing in it.
    Fail,
    /// The stream ends cleanly, and its verdict says so.
    Report,
}

/// End of a collection as a plan has proven it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenEnd {
    pub proof: Proof,
    /// Further signals that say the same.
    pub agreeing: Vec<Proof>,
    pub consistency: Consistency,
    /// As [`Verdict::doubles`].
    pub doubles: u64,
    /// As [`Verdict::late`].
    pub late: u64,
    /// Time up to which late records were looked for, by the sort order of the list.
    pub settled: Option<Timestamp>,
}

impl Verdict {
    /// Returns the verdict, or the reason for which it breaks the stream.
    pub(crate) fn held_to(self, policy: OnMissed) -> Result<Self, String> {
        match (self.consistency, policy) {
            (Consistency::Moved { why }, OnMissed::Fail) => Err(why),
            (consistency, _) => Ok(Self { consistency, ..self }),
        }
    }
}

impl ProvenEnd {
    /// Returns true if the collection is one page that nothing proves: only a policy for it makes it an end.
    pub(crate) fn is_lone_page(&self) -> bool {
        self.proof == Proof::LonePage
    }

    /// Returns the reason for which the end leaves the collection unverified, whatever its records show.
    pub(crate) fn doubt(&self) -> Option<&'static str> {
        match self.proof {
            Proof::LonePage => Some("single_page accepts one page that nothing proves"),
            Proof::LinkedLists => Some("other lists show the end of this one"),
            _ => None,
        }
    }

    /// Returns the proof and the signals that agree as a phrase: "no next address and the upstream's total of 3".
    pub fn proof_text(&self) -> String {
        let proof = self.agreeing.iter().fold(self.proof.to_string(), |text, signal| format!("{text} and {signal}"));
        self.settled.map_or(proof.clone(), |until| format!("{proof}; settled up to {until}"))
    }
}

impl Consistency {
    /// Words of all consistencies.
    pub const WORDS: [&str; 6] = ["steady", "mended", "moved", "snapshot", "upstream", "unverified"];

    /// Index in [`Consistency::WORDS`].
    pub(crate) fn rank(&self) -> usize {
        match self {
            Self::Steady => 0,
            Self::Mended { .. } => 1,
            Self::Moved { .. } => 2,
            Self::Snapshot { .. } => 3,
            Self::Upstream { .. } => 4,
            Self::Unverified { .. } => 5,
        }
    }

    /// Word for it in metrics and header fields.
    pub fn word(&self) -> &'static str {
        Self::WORDS[self.rank()]
    }

    /// The same of a crawl for which a reason to doubt it is known.
    pub(super) fn doubted(self, why: String) -> Self {
        match self {
            Self::Steady | Self::Mended { .. } | Self::Snapshot { .. } => Self::Unverified { why },
            Self::Unverified { why: first } => Self::Unverified { why: format!("{first}; {why}") },
            // What refutes or outranks a doubt stands.
            Self::Moved { .. } | Self::Upstream { .. } => self,
        }
    }
}

impl fmt::Display for Consistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Steady => f.write_str("steady: no record moved while it was read"),
            Self::Mended { shifts, again, back } => {
                write!(f, "mended: records moved {}", Counted(*shifts, "time"))?;
                write!(f, "; {} read again, {} back", Counted(*again, "page"), Counted(*back, "step"))
            }
            Self::Moved { why } => write!(f, "moved: records may be missing or doubled, since {why}"),
            Self::Snapshot { at: None } => f.write_str("snapshot: all records are of one moment"),
            Self::Snapshot { at: Some(at) } => write!(f, "snapshot: all records are of {}", rfc3339::text(*at)),
            Self::Upstream { by } => write!(f, "upstream: one state by {by}"),
            Self::Unverified { why } => write!(f, "unverified: {why}"),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { records, pages, proof, consistency, order, doubles, late, .. } = self;
        write!(f, "{} in {}; end proven by {proof}; ", Counted(*records, "record"), Counted(*pages, "page"))?;
        if *doubles > 0 {
            write!(f, "{} dropped; ", Counted(*doubles, "double"))?;
        }
        if *late > 0 {
            write!(f, "{} seen; ", Counted(*late, "late insert"))?;
        }
        consistency.fmt(f)?;
        match order {
            Some(RecordOrder::Assumed) => {
                f.write_str(" (that records keep their order is assumed, and was not refuted)")
            }
            Some(RecordOrder::Configured) => f.write_str(" (records keep their order, by stable_order)"),
            None => Ok(()),
        }
    }
}

/// A number with its noun.
struct Counted(u64, &'static str);

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number, noun) = self;
        write!(f, "{number} {noun}{}", if *number == 1 { "" } else { "s" })
    }
}

/// Reads the consistency of a verdict that an older or a newer unpage has written.
fn unverified_if_unknown<'de, D: Deserializer<'de>>(from: D) -> Result<Consistency, D::Error> {
    let unknown = || Consistency::Unverified { why: "another version of unpage wrote the verdict".to_owned() };
    Ok(Option::deserialize(from)?.unwrap_or_else(unknown))
}

/// A moment as text (RFC 3339), in whole seconds.
mod rfc3339 {
    use std::time::SystemTime;

    use jiff::Timestamp;
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    pub(super) fn text(moment: SystemTime) -> String {
        format!("{:.0}", Timestamp::try_from(moment).unwrap_or(Timestamp::MAX))
    }

    #[expect(clippy::ref_option, reason = "serde calls it so")]
    pub(super) fn serialize<S: Serializer>(at: &Option<SystemTime>, to: S) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => to.serialize_some(&text(*at)),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SystemTime>, D::Error> {
        let moment = |text: String| text.parse::<Timestamp>().map(SystemTime::from).map_err(D::Error::custom);
        Option::<String>::deserialize(from)?.map(moment).transpose()
    }
}

#[cfg(test)]
impl Verdict {
    pub(crate) fn in_test(records: u64, pages: u64) -> Self {
        let (proof, consistency) = ("no next address".to_owned(), Doubt::Pointer.into());
        Self { records, pages, requests: pages, proof, consistency, order: None, doubles: 0, late: 0, lists: None }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn words() -> [(Consistency, serde_json::Value, &'static str); 7] {
        let why = || "the total fell from 9 to 8".to_owned();
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_577_836_861);
        [
            (Consistency::Steady, json!({"consistency": "steady"}), "steady: no record moved while it was read"),
            (
                Consistency::Mended { shifts: 1, again: 2, back: 0 },
                json!({"consistency": "mended", "shifts": 1, "again": 2, "back": 0}),
                "mended: records moved 1 time; 2 pages read again, 0 steps back",
            ),
            (
                Consistency::Moved { why: why() },
                json!({"consistency": "moved", "why": why()}),
                "moved: records may be missing or doubled, since the total fell from 9 to 8",
            ),
            (
                Consistency::Snapshot { at: Some(at) },
                json!({"consistency": "snapshot", "at": "2020-01-01T00:01:01Z"}),
                "snapshot: all records are of 2020-01-01T00:01:01Z",
            ),
            (
                Consistency::Snapshot { at: None },
                json!({"consistency": "snapshot"}),
                "snapshot: all records are of one moment",
            ),
            (
                Consistency::Upstream { by: "`as_of` in every request".to_owned() },
                json!({"consistency": "upstream", "by": "`as_of` in every request"}),
                "upstream: one state by `as_of` in every request",
            ),
            (
                Doubt::Numbered.into(),
                json!({"consistency": "unverified", "why": "pages are numbered, and nothing ties one to the next"}),
                "unverified: pages are numbered, and nothing ties one to the next",
            ),
        ]
    }

    #[test]
    fn a_verdict_is_read_as_it_was_written() {
        for (consistency, json, phrase) in words() {
            let verdict = Verdict { consistency, doubles: 1, late: 2, ..Verdict::in_test(3, 1) };
            let mut expected = json;
            let counts =
                json!({"records": 3, "pages": 1, "requests": 1, "proof": "no next address", "doubles": 1, "late": 2});
            expected.as_object_mut().unwrap().extend(counts.as_object().unwrap().clone());
            let written = serde_json::to_value(&verdict).unwrap();
            assert_eq!(written, expected);
            assert_eq!(written["consistency"], verdict.consistency.word());
            assert_eq!(serde_json::from_value::<Verdict>(written).unwrap(), verdict);
            let counts = "3 records in 1 page; end proven by no next address; 1 double dropped; 2 late inserts seen";
            assert_eq!(verdict.to_string(), format!("{counts}; {phrase}"));
        }
    }

    #[test]
    fn a_verdict_that_relies_on_an_order_says_whose_word_it_is() {
        for (order, word, phrase) in [
            (RecordOrder::Assumed, "assumed", "(that records keep their order is assumed, and was not refuted)"),
            (RecordOrder::Configured, "configured", "(records keep their order, by stable_order)"),
        ] {
            let verdict = Verdict { consistency: Consistency::Steady, order: Some(order), ..Verdict::in_test(3, 1) };
            let written = serde_json::to_value(&verdict).unwrap();
            assert_eq!(written["order"], word);
            assert_eq!(serde_json::from_value::<Verdict>(written).unwrap(), verdict);
            assert!(verdict.to_string().ends_with(phrase), "{verdict}");
        }
    }

    #[test]
    fn only_records_that_moved_break_a_stream_and_only_by_policy() {
        for (consistency, _, phrase) in words() {
            let verdict = Verdict { consistency, ..Verdict::in_test(3, 1) };
            let moved = phrase.starts_with("moved");
            assert_eq!(verdict.clone().held_to(OnMissed::Report).as_ref(), Ok(&verdict), "{phrase}");
            assert_eq!(verdict.clone().held_to(OnMissed::Fail).is_err(), moved, "{phrase}");
        }
    }

    #[test]
    fn a_doubt_leaves_no_promise_of_each_record_once() {
        for (consistency, _, phrase) in words() {
            let promises = ["steady", "mended", "snapshot"].iter().any(|word| phrase.starts_with(word));
            let doubted = consistency.doubted("keys were forgotten".to_owned());
            let says = doubted.to_string().ends_with("keys were forgotten");
            assert_eq!(says, promises || phrase.starts_with("unverified"), "{doubted}");
            assert_eq!(doubted.word() == "unverified", says, "{doubted}");
        }
    }

    #[test]
    fn signals_that_agree_are_told_with_the_proof() {
        let consistency = Consistency::Steady;
        let end = ProvenEnd {
            proof: Proof::NoNext,
            agreeing: vec![Proof::Total(3)],
            consistency,
            doubles: 0,
            late: 0,
            settled: None,
        };
        assert_eq!(end.proof_text(), "no next address and the upstream's total of 3");
        let settled = Timestamp::from_millisecond(1_767_323_045_678).ok();
        let settled = ProvenEnd { agreeing: Vec::new(), settled, ..end.clone() };
        assert_eq!(settled.proof_text(), "no next address; settled up to 2026-01-02T03:04:05.678Z");
        assert_eq!(ProvenEnd { agreeing: Vec::new(), ..end }.proof_text(), "no next address");
    }

    #[test]
    fn a_verdict_of_another_version_is_unverified() {
        for text in [
            r#"{"records":3,"pages":1,"proof":"no next address"}"#,
            r#"{"records":3,"pages":1,"proof":"no next address","consistency":"enchanted","by":"a spell"}"#,
            r#"{"records":3,"pages":1,"proof":"no next address","consistency":"mended"}"#,
        ] {
            let read: Verdict = serde_json::from_str(text).unwrap();
            assert_eq!((read.records, read.requests, read.consistency.word()), (3, 0, "unverified"), "{text}");
        }
    }
}
