//! Walks by keys, where the record of a key may be gone when the next page is asked for behind it.

use std::sync::Arc;

use unpage::pagination::{
    ConsistencyLevel, Encode, KeyUse, Keyset, Overlap, PageError, PageSize, Pagination, Records, Source,
};

use crate::exhaustive::{Counts, each, query, world};
use crate::world::{
    COMPARED, ChangeKind, Choices, KEY_PARAMS, OR_FIRST, OR_NOT_FOUND, OR_NOTHING, Outcome, World, crawl,
};

fn by_key(param: &str, page: usize, with_total: bool, usage: KeyUse) -> Arc<Pagination> {
    let key = || "id".parse().unwrap();
    let style = Keyset { key: vec![key()], param: query(param), encode: Encode::Plain, overlap: Overlap::None, usage };
    let mut pagination = Pagination::of(style.into(), Records::at("data".parse().unwrap()));
    pagination.key = Some(key());
    pagination.page_size = Some(PageSize { param: Some(query("limit")), value: Some(page as u64), max: None });
    pagination.total = with_total.then(|| Source::Body("total".parse().unwrap()));
    pagination.consistency = Some(ConsistencyLevel::Repair);
    Arc::new(pagination)
}

/// A crawl may break where more records go than it can step back over, or where the upstream's total contradicts what came.
fn may_break(outcome: &Outcome, with_total: bool) -> bool {
    match &outcome.end {
        Err(PageError::TotalDisagrees { .. } | PageError::TotalLied(_)) => with_total,
        // An upstream that begins anew may also be one that ignores the key.
        Err(
            PageError::KeysGone(_)
            | PageError::Drifted(_)
            | PageError::Repeat { .. }
            | PageError::Status { .. }
            | PageError::NoOrder { .. },
        ) => true,
        _ => false,
    }
}

fn check(world: &World, outcome: &Outcome) {
    let (missing, doubled) = (outcome.missing(), outcome.doubled());
    let is_good = outcome.end.is_ok() && missing.is_empty() && doubled.is_empty();
    assert!(
        is_good || may_break(outcome, world.with_total),
        "{world:?}: {:?}: {missing:?} missing, {doubled:?} doubled of {:?}\n{}",
        outcome.end,
        outcome.ids,
        outcome.course.join("\n")
    );
}

#[test]
fn a_record_that_is_gone_when_the_list_is_read_on_behind_it_ends_no_walk() {
    for (records, page, changes, kills) in [
        (0, 2, 2, 0),
        (1, 2, 2, 0),
        (2, 2, 2, 0),
        (3, 2, 2, 0),
        (4, 2, 2, 0),
        (5, 3, 1, 0),
        (5, 2, 1, 0),
        (3, 1, 1, 0),
        (4, 2, 1, 1),
    ] {
        for param in KEY_PARAMS {
            for with_total in [false, true] {
                let world = World { kills, with_total, ..world(records, page, changes) };
                let pagination = by_key(param, page, with_total, KeyUse::LookedUp);
                let counts = each(&world, &pagination, |outcome| check(&world, outcome));
                println!("{param} {world:?}: {counts:?}");
                assert!(with_total || counts.broken * 4 <= counts.courses, "{param} {world:?}: {counts:?}");
            }
        }
    }
}

/// Deletions of known records may take any step back to a place that is gone, too; what is left of the known ones comes again.
fn loses_nothing_by_deletions(world: &World, outcome: &Outcome) {
    let is_good = outcome.end.is_ok() && outcome.missing().is_empty() && outcome.doubled().is_empty();
    // Each deletion may cost a step back, of which no walk takes more than its budget.
    let is_spent = matches!(outcome.end, Err(PageError::Drifted(_) | PageError::KeysGone(_)));
    assert!(is_good || is_spent, "{world:?}: {:?} of {:?}\n{}", outcome.end, outcome.ids, outcome.course.join("\n"));
}

#[test]
fn records_that_are_deleted_while_the_walk_steps_back_break_nothing() {
    for (records, page, changes, kills) in [(3, 2, 3, 0), (5, 2, 3, 0), (6, 3, 3, 0), (7, 2, 2, 0), (5, 2, 2, 1)] {
        for param in KEY_PARAMS {
            let world = World { kind: ChangeKind::KnownDeletes, kills, ..world(records, page, changes) };
            let pagination = by_key(param, page, false, KeyUse::LookedUp);
            let counts = each(&world, &pagination, |outcome| loses_nothing_by_deletions(&world, outcome));
            println!("{param} {world:?}: {counts:?}");
        }
    }
}

#[test]
fn a_walk_that_steps_back_over_several_pages_takes_their_known_records_once() {
    let mut counts = Counts::default();
    for seed in 1..=200_u64 {
        for param in [OR_NOTHING, OR_FIRST, OR_NOT_FOUND] {
            let (records, page) = (60 + 5 * seed as usize % 200, 5 + seed as usize % 20);
            let kind = ChangeKind::KnownDeletes;
            // At once, or a few before each request.
            let rarity = 1 + seed as usize % 3;
            let world = World { kind, rarity, kills: seed as usize % 3, ..world(records, page, 3 + seed as usize % 9) };
            let pagination = by_key(param, page, false, KeyUse::LookedUp);
            let outcome = crawl(&world, &pagination, &mut Choices::Random(seed * 0x9e37_79b9_7f4a));
            loses_nothing_by_deletions(&world, &outcome);
            counts.add(&outcome);
        }
    }
    println!("{counts:?}");
    assert!(counts.wrong == 0 && counts.broken * 50 < counts.courses, "{counts:?}");
}

#[test]
fn keys_that_are_compared_need_no_earlier_one() {
    for (records, page, changes) in [(1, 2, 2), (3, 2, 2), (4, 2, 2)] {
        let world = world(records, page, changes);
        let counts = each(&world, &by_key(COMPARED, page, false, KeyUse::Compared), |outcome| check(&world, outcome));
        assert_eq!((counts.wrong, counts.broken), (0, 0));
    }
}

/// Requests of a crawl of a list that stays as it is.
fn requests(records: usize, page: usize, usage: KeyUse) -> usize {
    let outcome = crawl(&world(records, page, 0), &by_key(OR_NOTHING, page, false, usage), &mut Choices::all());
    assert_eq!(outcome.ids.len(), records);
    outcome.requests
}

#[test]
fn a_list_that_stays_costs_one_more_request_only_where_its_last_page_is_full() {
    for records in 2..40 {
        let more = requests(records, 10, KeyUse::LookedUp) - requests(records, 10, KeyUse::Compared);
        assert_eq!(more, usize::from(records % 10 == 0), "{records}");
    }
}

#[test]
fn large_lists_that_change_lose_nothing_by_key() {
    let mut counts = Counts::default();
    for seed in 1..=60_u64 {
        for param in [COMPARED, OR_NOTHING, OR_FIRST, OR_NOT_FOUND] {
            let (records, page) = (100 + 7 * seed as usize, 3 + seed as usize % 40);
            let world = World { rarity: 3, kills: seed as usize % 3, ..world(records, page, 100) };
            let pagination = by_key(param, page, false, KeyUse::LookedUp);
            let outcome = crawl(&world, &pagination, &mut Choices::Random(seed * 0x9e37_79b9_7f4a));
            check(&world, &outcome);
            outcome.check_honesty(&world);
            counts.add(&outcome);
        }
    }
    println!("{counts:?}");
    assert!(counts.wrong == 0 && counts.broken * 10 < counts.courses, "{counts:?}");
}
