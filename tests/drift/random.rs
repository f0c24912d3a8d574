//! Random courses of larger lists.

use proptest::prelude::*;
use unpage::pagination::ConsistencyLevel;

use crate::exhaustive::{Counts, by_offset};
use crate::world::{Choices, World, crawl};

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

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
        let world = World { records, page, changes, rarity, with_moves: false, with_total, width, kills };
        let pagination = by_offset(page, with_total, ConsistencyLevel::Repair);
        let outcome = crawl(&world, &pagination, &mut Choices::Random(seed));
        outcome.check_honesty(&world);
        let mut counts = Counts::default();
        counts.add(&outcome);
        prop_assert!(counts.wrong == 0 || outcome.looked_rounded, "{}", outcome.course.join("\n"));
    }
}

#[test]
fn pages_of_more_records_than_are_known_at_least_are_resumed() {
    for seed in 1..=8 {
        let (records, page, changes) = (11_000, 5_000, 3);
        let world =
            World { records, page, changes, rarity: 2, with_moves: false, with_total: true, width: 1, kills: 2 };
        let outcome =
            crawl(&world, &by_offset(page, true, ConsistencyLevel::Repair), &mut Choices::Random(seed * 0x9e37_79b9));
        outcome.check_honesty(&world);
        assert!(outcome.end.is_ok(), "{:?}\n{}", outcome.end, outcome.course.join("\n"));
    }
}
