//! A collection that is cut into parts while it is walked.
//!
//! ```text
//!   one part:    |──read──▶································      no bound at either end: the plain walk
//!   split:       |──read──▶···············|················      the owner stops at the bound, another walk begins there
//!   again:       |───read───▶······|······|──read─▶···|····      always the part with the most that is unread
//! ```
//! Every record belongs to one part, which its own value says and nothing else; what the upstream's filter makes of a bound
//! can't lose or double it, because requests reach beyond the bounds and [`Cut::pass`] leaves out what is another part's. The
//! ends of the collection only say where to cut: the first part asks from its beginning and the last one to its end.

mod axis;
mod cut;
mod density;
#[cfg(test)]
mod tests;
mod upper_bound;

pub(super) use cut::Cut;
pub(super) use upper_bound::UpperBound;

/// Pages that either half of a part must be worth: the half that is new re-reads records at its beginning, and the last page
/// of both will not be full.
const PAGES_PER_HALF: u64 = 2;

/// Splits the part with the most unread work: it ends where the new part begins, which is given with its owner's index. None
/// where no part has enough of it. `cuts` are the parts that are not complete, and `page` is how many records a page has.
pub(super) fn split(cuts: &mut [&mut Cut], far: &UpperBound, page: u64) -> Option<(usize, Cut)> {
    #[expect(clippy::cast_precision_loss, reason = "a page has less than 2^52 records")]
    let least = (2 * PAGES_PER_HALF * page.max(1)) as f64;
    let unread = cuts.iter().enumerate().filter_map(|(index, cut)| Some((index, cut.unread(far)?)));
    let (index, unread) = unread.max_by(|(_, a), (_, b)| a.records.total_cmp(&b.records))?;
    (unread.records >= least).then(|| (index, cuts[index].split_at(unread.middle())))
}
