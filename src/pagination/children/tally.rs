//! Tally of the lists of all parents, and the verdict on the stream of their children: no better than that of any list.
//!
//! The end is proven where the end of the parents' list is proven, and the end of the list of each parent that it has.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Lineage;
use super::lists_summary::{ListsSummary, NAMED, WeakList};
use crate::pagination::doubt::Doubt;
use crate::pagination::verdict::{Consistency, RecordOrder, Verdict};

/// End of the list of one parent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ListEnd {
    /// Its end is proven.
    Whole(Verdict),
    /// The first page was refused with this status, 404 or 410: the parent is gone, as `on_gone` accepts it.
    Gone(u16),
}

/// Lists that have ended so far.
#[derive(Clone, Debug, Default)]
pub struct ChildrenTally {
    lists: u64,
    gone: u64,
    /// Lists that came, those of parents included, but for the outermost.
    whole: u64,
    records: u64,
    pages: u64,
    doubles: u64,
    late: u64,
    words: BTreeMap<String, u64>,
    weakest: Vec<WeakList>,
    consistency: Option<Consistency>,
    order: Option<RecordOrder>,
    /// Proof of the outermost list of parents.
    parents_proof: Option<String>,
}

impl ChildrenTally {
    /// Adds the list of a parent.
    pub fn add(&mut self, parent: &Lineage, end: &ListEnd) {
        self.lists += 1;
        match end {
            ListEnd::Gone(status) => self.add_gone(parent, *status),
            ListEnd::Whole(verdict) => {
                self.whole += 1;
                self.records += verdict.records;
                self.doubles += verdict.doubles;
                *self.words.entry(verdict.consistency.word().to_owned()).or_default() += 1;
                if let Consistency::Moved { .. } = verdict.consistency {
                    self.name(parent, verdict.consistency.to_string());
                }
                self.join(verdict, &parent.to_string());
            }
        }
    }

    /// Adds a list of parents.
    pub fn add_parents(&mut self, of: &Lineage, end: &ListEnd) {
        match end {
            ListEnd::Gone(status) => self.add_gone(of, *status),
            ListEnd::Whole(verdict) => {
                self.whole += u64::from(!of.ancestors().is_empty());
                self.parents_proof.get_or_insert_with(|| verdict.proof.clone());
                self.join(verdict, "the parents");
            }
        }
    }

    /// Adds the tally of lists of parents.
    pub fn absorb(&mut self, parents: Self) {
        self.gone += parents.gone;
        self.whole += parents.whole;
        self.pages += parents.pages;
        self.late += parents.late;
        self.weakest.extend(parents.weakest);
        self.weakest.truncate(NAMED);
        if let Some(consistency) = parents.consistency {
            self.weaken(consistency, parents.order);
        }
        self.parents_proof = self.parents_proof.take().or(parents.parents_proof);
    }

    /// Adds the doubt that a parent may be in the stream twice.
    pub fn doubt(&mut self, why: &str) {
        self.consistency = Some(self.consistency.take().unwrap_or(Consistency::Steady).doubted(why.to_owned()));
    }

    fn add_gone(&mut self, parent: &Lineage, status: u16) {
        self.gone += 1;
        self.name(parent, format!("gone, by status {status}"));
    }

    fn name(&mut self, parent: &Lineage, finding: String) {
        if self.weakest.len() < NAMED {
            self.weakest.push(WeakList { parent: parent.to_string(), finding });
        }
    }

    fn join(&mut self, verdict: &Verdict, of: &str) {
        self.pages += verdict.pages;
        self.late += verdict.late;
        let consistency = match verdict.consistency.clone() {
            Consistency::Moved { why } => Consistency::Moved { why: format!("{why} ({of})") },
            other => other,
        };
        self.weaken(consistency, verdict.order);
    }

    fn weaken(&mut self, next: Consistency, order: Option<RecordOrder>) {
        self.consistency = Some(weaker(self.consistency.take(), next));
        self.order = match (self.order, order) {
            (Some(RecordOrder::Assumed), _) | (_, Some(RecordOrder::Assumed)) => Some(RecordOrder::Assumed),
            (known, order) => known.or(order),
        };
    }

    /// Number of records of the lists that have ended.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Number of pages of the lists that have ended.
    pub fn pages(&self) -> u64 {
        self.pages
    }

    /// Number of parents whose lists have ended, those that were gone included.
    pub fn parents(&self) -> u64 {
        self.lists
    }

    /// Number of parents that were gone.
    pub fn gone(&self) -> u64 {
        self.gone
    }

    /// Returns true if there were parents, and the list of each was refused: the path is wrong, rather than that all are gone.
    pub fn is_all_gone(&self) -> bool {
        self.gone > 0 && self.whole == 0
    }

    /// Returns the verdict on the whole stream, which took this number of requests.
    pub fn verdict(self, requests: u64) -> Verdict {
        let parents = self.parents_proof.as_deref().unwrap_or("as it was");
        let proof = format!(
            "the end of the list of parents ({parents}) and of each of the lists of {} parent{}",
            self.lists,
            if self.lists == 1 { "" } else { "s" }
        );
        let consistency = self.consistency.unwrap_or(Consistency::Steady);
        let consistency = match self.gone {
            0 => consistency,
            1 => consistency.doubted("one of the parents was gone when its list was read".to_owned()),
            gone => consistency.doubted(format!("{gone} of the parents were gone when their lists were read")),
        };
        let relies_on_order = matches!(consistency, Consistency::Steady | Consistency::Mended { .. });
        let lists =
            ListsSummary { parents: self.lists, gone: self.gone, consistency: self.words, weakest: self.weakest };
        Verdict {
            records: self.records,
            pages: self.pages,
            requests,
            proof,
            consistency,
            order: self.order.filter(|_| relies_on_order),
            doubles: self.doubles,
            late: self.late,
            lists: Some(Box::new(lists)),
        }
    }

    /// Returns the verdict on the lists of all windows, the last of which ends at `end`.
    pub fn verdict_of_windows(self, requests: u64, end: &str) -> Verdict {
        let count = self.lists;
        let proof =
            format!("the end of the list of each of {count} window{}, up to {end}", if count == 1 { "" } else { "s" });
        let verdict = self.verdict(requests);
        let consistency = match count {
            // One list has one verdict.
            0 | 1 => verdict.consistency,
            _ => verdict.consistency.doubted(Doubt::Windows.to_string()),
        };
        let order = verdict.order.filter(|_| count <= 1);
        Verdict { proof, consistency, order, lists: None, ..verdict }
    }
}

/// Returns the consistency of several lists as one. They are read at different moments, so that none is common to all: `snapshot` becomes
/// `steady`, which holds of each record that stayed with its parent, and `upstream` is lost.
fn weaker(known: Option<Consistency>, next: Consistency) -> Consistency {
    use Consistency::{Mended, Moved, Snapshot, Steady, Unverified, Upstream};
    match (known, next) {
        (Some(moved @ Moved { .. }), _) | (_, moved @ Moved { .. }) => moved,
        (Some(unverified @ Unverified { .. }), _) | (_, unverified @ Unverified { .. }) => unverified,
        (_, Upstream { .. }) => {
            let why = "each list is one state by the upstream's word, and no state is common to all";
            Unverified { why: why.to_owned() }
        }
        (Some(Mended { shifts, again, back }), Mended { shifts: more, again: further, back: steps }) => {
            Mended { shifts: shifts + more, again: again + further, back: back + steps }
        }
        (Some(mended @ Mended { .. }), Steady | Snapshot { .. }) | (_, mended @ Mended { .. }) => mended,
        (_, Steady | Snapshot { .. }) => Steady,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::value::RawValue;

    use super::super::ParentKey;
    use super::*;

    fn parent(number: u64) -> Lineage {
        let raw = RawValue::from_string(number.to_string()).unwrap();
        Lineage::default().with(&Arc::from("number"), ParentKey::from_json(&raw).unwrap())
    }

    fn whole(consistency: Consistency) -> ListEnd {
        ListEnd::Whole(Verdict { consistency, ..Verdict::in_test(3, 2) })
    }

    fn all() -> Vec<Consistency> {
        vec![
            Consistency::Steady,
            Consistency::Mended { shifts: 1, again: 2, back: 3 },
            Consistency::Moved { why: "a test".to_owned() },
            Consistency::Snapshot { at: None },
            Consistency::Upstream { by: "`as_of`".to_owned() },
            Consistency::Unverified { why: "a test".to_owned() },
        ]
    }

    #[test]
    fn the_whole_is_no_better_than_any_list_in_any_order() {
        // From the strongest to the weakest promise of a stream of children.
        let strength = |word: &str| ["steady", "mended", "unverified", "moved"].iter().position(|own| *own == word);
        let mut seen = 0;
        for (a, b, c) in all()
            .into_iter()
            .flat_map(|a| all().into_iter().map(move |b| (a.clone(), b)))
            .flat_map(|(a, b)| all().into_iter().map(move |c| (a.clone(), b.clone(), c)))
        {
            let mut tally = ChildrenTally::default();
            tally.add_parents(&Lineage::default(), &whole(a.clone()));
            tally.add(&parent(1), &whole(b.clone()));
            tally.add(&parent(2), &whole(c.clone()));
            let verdict = tally.verdict(9);
            let word = |of: &Consistency| {
                match of.word() {
                    "snapshot" => "steady",
                    "upstream" => "unverified",
                    word => word,
                }
                .to_owned()
            };
            let weakest = [&a, &b, &c].into_iter().map(|of| strength(&word(of)).unwrap()).max();
            assert_eq!(strength(verdict.consistency.word()), weakest, "{a:?} {b:?} {c:?}");
            assert_eq!((verdict.records, verdict.pages, verdict.requests), (6, 6, 9));
            seen += 1;
        }
        assert_eq!(seen, 216);
    }

    #[test]
    fn a_parent_that_was_gone_is_counted_named_and_casts_a_doubt() {
        let mut tally = ChildrenTally::default();
        tally.add_parents(&Lineage::default(), &whole(Consistency::Steady));
        (1..=20).for_each(|number| tally.add(&parent(number), &ListEnd::Gone(404)));
        assert!(tally.is_all_gone());
        tally.add(&parent(21), &whole(Consistency::Steady));
        assert!(!tally.is_all_gone());
        let verdict = tally.verdict(22);
        assert_eq!(verdict.consistency.word(), "unverified");
        let lists = verdict.lists.clone().unwrap();
        assert_eq!((lists.parents, lists.gone, lists.weakest.len()), (21, 20, NAMED));
        assert_eq!(lists.weakest[0], WeakList { parent: "number 1".into(), finding: "gone, by status 404".into() });
        let text = serde_json::to_string(&verdict).unwrap();
        assert_eq!(serde_json::from_str::<Verdict>(&text).unwrap(), verdict);
        assert!(verdict.proof.ends_with("of each of the lists of 21 parents"), "{}", verdict.proof);
    }

    #[test]
    fn no_parents_are_no_records() {
        let mut tally = ChildrenTally::default();
        tally.add_parents(&Lineage::default(), &whole(Consistency::Steady));
        assert!(!tally.is_all_gone());
        let verdict = tally.verdict(1);
        assert_eq!((verdict.records, verdict.consistency.word()), (0, "steady"));
    }
}
