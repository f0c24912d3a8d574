//! All courses of small worlds.

use std::sync::Arc;

use unpage::pagination::verdict::{Consistency, ProvenEnd};
use unpage::pagination::{
    Advance, ConsistencyLevel, Offset, PageError, PageNumber, PageSize, Pagination, Param, Records, Source, Style,
};

use crate::world::{ChangeKind, Choices, Outcome, World, crawl};

pub(crate) fn query(name: &str) -> Param {
    Param::Query(name.to_owned())
}

pub(crate) fn by_offset(page: usize, with_total: bool, level: ConsistencyLevel) -> Arc<Pagination> {
    let style = Offset { param: query("offset"), start: 0, step: Advance::Returned, template: None };
    of(style.into(), page, with_total, level)
}

pub(crate) fn by_page(page: usize, with_total: bool, level: ConsistencyLevel) -> Arc<Pagination> {
    let style = PageNumber { param: query("page"), start: 1, template: None };
    of(style.into(), page, with_total, level)
}

fn of(style: Style, page: usize, with_total: bool, level: ConsistencyLevel) -> Arc<Pagination> {
    let mut pagination = Pagination::of(style, Records::at("data".parse().unwrap()));
    pagination.key = Some("id".parse().unwrap());
    pagination.page_size = Some(PageSize { param: Some(query("limit")), value: Some(page as u64), max: None });
    pagination.total = with_total.then(|| Source::Body("total".parse().unwrap()));
    pagination.consistency = Some(level);
    Arc::new(pagination)
}

/// Counts of courses.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) courses: usize,
    pub(crate) wrong: usize,
    steady: usize,
    mended: usize,
    other: usize,
    pub(crate) broken: usize,
    requests: usize,
}

impl Counts {
    pub(crate) fn add(&mut self, outcome: &Outcome) {
        self.courses += 1;
        self.requests += outcome.requests;
        match &outcome.end {
            Ok(ProvenEnd { consistency: Consistency::Steady, .. }) => self.steady += 1,
            Ok(ProvenEnd { consistency: Consistency::Mended { .. }, .. }) => self.mended += 1,
            Ok(_) => self.other += 1,
            Err(_) => self.broken += 1,
        }
        let is_wrong = !outcome.missing().is_empty() || !outcome.doubled().is_empty();
        self.wrong += usize::from(outcome.end.is_ok() && is_wrong);
    }
}

/// Runs all courses of a world.
pub(crate) fn each(world: &World, pagination: &Arc<Pagination>, mut check: impl FnMut(&Outcome)) -> Counts {
    let (mut choices, mut counts) = (Choices::all(), Counts::default());
    loop {
        let outcome = crawl(world, pagination, &mut choices);
        outcome.check_honesty(world);
        check(&outcome);
        counts.add(&outcome);
        if !choices.advance() {
            return counts;
        }
    }
}

pub(crate) fn world(records: usize, page: usize, changes: usize) -> World {
    World {
        records,
        page,
        changes,
        rarity: 1,
        kind: ChangeKind::InsertsAndDeletes,
        with_total: false,
        width: 1,
        kills: 0,
    }
}

/// A page that repeats the first one can't be told from an upstream that rounds or ignores its number, nor pages behind the end that repeat
/// the last one from an upstream that clamps it.
fn may_break(outcome: &Outcome) -> bool {
    matches!(
        outcome.end,
        Err(PageError::Repeat { .. } | PageError::Vanished(_) | PageError::RecordsBehindTheEnd { .. })
    ) || outcome.gave_up_sharing
}

/// Runs all courses by offset and by pages of several sizes, with and without a total: nothing is lost or doubled.
fn nothing_is_lost(worlds: &[World]) {
    for world in worlds {
        for with_total in [false, true] {
            let world = World { with_total, ..world.clone() };
            // Pages of up to three records share hardly any by their sizes.
            let by_size = (world.page > 3).then(|| by_page(world.page, with_total, ConsistencyLevel::Repair));
            for pagination in by_size.iter().chain([&by_offset(world.page, with_total, ConsistencyLevel::Repair)]) {
                all_is_there(&world, pagination);
            }
        }
    }
}

/// Runs all courses of a world: nothing is lost or doubled.
fn all_is_there(world: &World, pagination: &Arc<Pagination>) {
    let counts = each(world, pagination, |outcome| {
        let (missing, doubled) = (outcome.missing(), outcome.doubled());
        let is_good = outcome.end.is_ok() && missing.is_empty() && doubled.is_empty();
        assert!(
            is_good || may_break(outcome),
            "{world:?}: {:?}: {missing:?} missing, {doubled:?} doubled of {:?}\n{}",
            outcome.end,
            outcome.ids,
            outcome.course.join("\n")
        );
    });
    println!("{world:?} {}: {counts:?}", pagination.style.name());
}

#[test]
fn anchored_walks_lose_nothing_of_any_small_list() {
    let worlds =
        [(0, 2, 3), (1, 2, 3), (2, 2, 2), (3, 2, 2), (4, 2, 1), (3, 3, 2), (5, 3, 1), (4, 5, 2), (5, 4, 1), (6, 5, 1)];
    nothing_is_lost(&worlds.map(|(records, page, changes)| world(records, page, changes)));
}

#[test]
fn two_in_flight_and_kills_change_no_promise() {
    let worlds = [(3, 2, 1, 2, 0), (4, 2, 1, 2, 0), (3, 2, 1, 1, 1), (4, 3, 1, 1, 1), (6, 4, 1, 2, 0), (6, 4, 1, 1, 1)];
    nothing_is_lost(&worlds.map(|(records, page, changes, width, kills)| World {
        width,
        kills,
        ..world(records, page, changes)
    }));
}

#[test]
fn verdicts_are_honest_when_records_move() {
    for (records, page, changes) in [(3, 2, 1), (4, 2, 1), (4, 3, 2), (6, 4, 1)] {
        for with_total in [false, true] {
            let world = World { with_total, kind: ChangeKind::Moves, ..world(records, page, changes) };
            for pagination in [
                by_offset(page, with_total, ConsistencyLevel::Repair),
                by_offset(page, with_total, ConsistencyLevel::Detect),
                by_page(page, with_total, ConsistencyLevel::Repair),
                by_page(page, with_total, ConsistencyLevel::Detect),
            ] {
                println!("{world:?} {:?}: {:?}", pagination.consistency, each(&world, &pagination, |_| {}));
            }
        }
    }
}

/// Millions of courses, some minutes: `UNPAGE_LONG=1 cargo test --release --test drift`; else lists of up to two records.
#[test]
fn every_list_of_up_to_five_records_and_three_changes_loses_nothing() {
    let (most, changes) = if std::env::var_os("UNPAGE_LONG").is_some() { (5, 3) } else { (2, 2) };
    let lists = (0..=most).flat_map(|records| [2, 3].map(|page| world(records, page, changes)));
    let widths = lists.clone().map(|world| World { width: 2, changes: changes - 1, ..world });
    let kills = lists.clone().map(|world| World { kills: 1, changes: changes - 1, ..world });
    nothing_is_lost(&lists.chain(widths).chain(kills).collect::<Vec<_>>());
}
