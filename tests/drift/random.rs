//! Random courses of larger lists.

use proptest::prelude::*;
use unpage::pagination::ConsistencyLevel;

use crate::exhaustive::{Counts, by_offset, by_page};
use crate::world::{ChangeKind, Choices, World, crawl};

/// Number of random courses: `UNPAGE_LONG=1 cargo test --release --test drift` runs the deep form.
pub(crate) fn courses() -> u32 {
    if std::env::var_os("UNPAGE_LONG").is_some() { 100_000 } else { 100 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: courses(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn large_lists_that_move_are_not_said_to_be_steady(
        records in 0..300_usize,
        page in 2..40_usize,
        rarity in 1..6_usize,
        changes in 0..40_usize,
        with_total in any::<bool>(),
        width in 1..8_usize,
        kills in 0..3_usize,
        seed in 1..u64::MAX,
    ) {
        let world = World { records, page, changes, rarity, kind: ChangeKind::Moves, with_total, width, kills };
        for level in [ConsistencyLevel::Repair, ConsistencyLevel::Detect] {
            for pagination in [by_offset, by_page].map(|of| of(page, with_total, level)) {
                crawl(&world, &pagination, &mut Choices::Random(seed)).check_honesty(&world);
            }
        }
    }

    #[test]
    fn large_lists_that_change_lose_nothing(
        records in 0..600_usize,
        page in 2..60_usize,
        rarity in 1..6_usize,
        changes in 0..200_usize,
        with_total in any::<bool>(),
        width in 1..8_usize,
        kills in 0..3_usize,
        seed in 1..u64::MAX,
    ) {
        let world = World { records, page, changes, rarity, kind: ChangeKind::InsertsAndDeletes, with_total, width, kills };
        for pagination in [by_offset, by_page].map(|of| of(page, with_total, ConsistencyLevel::Repair)) {
            let outcome = crawl(&world, &pagination, &mut Choices::Random(seed));
            outcome.check_honesty(&world);
            let mut counts = Counts::default();
            counts.add(&outcome);
            prop_assert!(counts.wrong == 0 || outcome.gave_up_sharing, "{:?}: {}", outcome.end, outcome.course.join("\n"));
        }
    }
}

#[test]
fn pages_of_more_records_than_are_known_at_least_are_resumed() {
    for seed in 1..=8 {
        let (records, page, changes) = (11_000, 5_000, 3);
        let world = World {
            records,
            page,
            changes,
            rarity: 2,
            kind: ChangeKind::InsertsAndDeletes,
            with_total: true,
            width: 1,
            kills: 2,
        };
        let outcome =
            crawl(&world, &by_offset(page, true, ConsistencyLevel::Repair), &mut Choices::Random(seed * 0x9e37_79b9));
        outcome.check_honesty(&world);
        assert!(outcome.end.is_ok(), "{:?}\n{}", outcome.end, outcome.course.join("\n"));
    }
}
