//! Division of a collection into parts while it is crawled.
//!
//! ```text
//!   one part:    |──read──▶································      no bound at either end: the plain walk
//!   split:       |──read──▶···············|················      the owner stops at the bound, another walk begins there
//!   again:       |───read───▶······|······|──read─▶···|····      always the part with the most that is unread
//! ```
//! Every record belongs to the one part that its own value names. The upstream's reading of a bound can't lose or double it, because
//! requests reach beyond the bounds and [`Cut::pass`] leaves out the records of other parts. The ends of the collection only say
//! where to cut: the first part asks from its beginning and the last one to its end.

mod axis;
mod cut;
mod density;
#[cfg(test)]
mod tests;
mod upper_bound;

pub(super) use cut::Cut;
pub(super) use upper_bound::UpperBound;

/// Number of pages that either half of a part must have at least: the new half reads some records again at its beginning, and the
/// last page of both will not be full.
const PAGES_PER_HALF: u64 = 2;

/// Splits the part with the most unread records; returns its index and the part that begins at its new end. `None` where no part has
/// enough of them. `cuts` are the parts that are not complete, and `page` is the number of records on a page.
pub(super) fn split(cuts: &mut [&mut Cut], bound: &UpperBound, page: u64) -> Option<(usize, Cut)> {
    #[expect(clippy::cast_precision_loss, reason = "a page has less than 2^52 records")]
    let least = (2 * PAGES_PER_HALF * page.max(1)) as f64;
    let unread = cuts.iter().enumerate().filter_map(|(index, cut)| Some((index, cut.unread(bound)?)));
    let (index, unread) = unread.max_by(|(_, a), (_, b)| a.records.total_cmp(&b.records))?;
    (unread.records >= least).then(|| (index, cuts[index].split_at(unread.middle())))
}
