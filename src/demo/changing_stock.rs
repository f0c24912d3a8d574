//! Stock of orders that changes: orders come and go, in front of the list and amid it.

use std::sync::Arc;

use super::orders::scattered;

/// Numbers of the orders of a list that changes. A number that went never comes back.
#[derive(Debug)]
pub(super) struct ChangingStock {
    numbers: Arc<Vec<u64>>,
    records: u64,
    changes: u64,
}

/// Larger than any stock and prime: its multiples visit each place once before any comes again.
const STRIDE: u64 = 999_999_937;

impl ChangingStock {
    /// A stock of this many orders, whose numbers are even. Odd ones come later.
    pub(super) fn of(records: u64) -> Self {
        let numbers = (1..=records).map(|nth| 2 * nth).collect();
        Self { numbers: Arc::new(numbers), records, changes: 0 }
    }

    pub(super) fn highest(&self) -> u64 {
        2 * self.records
    }

    /// Numbers of the orders after this many changes since the start, ascending.
    pub(super) fn after(&mut self, changes: u64) -> Arc<Vec<u64>> {
        // Once all odd numbers have come, the stock stays as it is.
        while self.changes < changes.min(2 * self.records) {
            self.change();
            self.changes += 1;
        }
        Arc::clone(&self.numbers)
    }

    /// Adds and removes an order in turn.
    fn change(&mut self) {
        let numbers = Arc::make_mut(&mut self.numbers);
        if self.changes.is_multiple_of(2) {
            let place = (u128::from(self.changes / 2) * u128::from(STRIDE) % u128::from(self.records)) as u64;
            let number = 2 * place + 1;
            numbers.insert(numbers.partition_point(|other| *other < number), number);
        } else {
            numbers.remove((scattered(self.changes) % numbers.len() as u64) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn orders_come_and_go_and_none_comes_back() {
        let mut stock = ChangingStock::of(1_000);
        let (mut before, mut ever): (BTreeSet<u64>, BTreeSet<u64>) = Default::default();
        before.extend(stock.after(0).iter());
        ever.extend(&before);
        for changes in 1..=2_000 {
            let now = stock.after(changes);
            assert!(now.is_sorted() && now.last() <= Some(&stock.highest()));
            let now: BTreeSet<u64> = now.iter().copied().collect();
            let (came, went) = (now.difference(&before).count(), before.difference(&now).count());
            assert_eq!((came, went), if changes % 2 == 1 { (1, 0) } else { (0, 1) });
            assert!(now.difference(&before).all(|number| ever.insert(*number)), "a number came back");
            before = now;
        }
        assert_eq!(before.len(), 1_000);
        assert_eq!(stock.after(9_999).len(), 1_000, "it stays as it is");
        assert!(ChangingStock::of(0).after(5).is_empty());
    }
}
