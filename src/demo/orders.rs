//! Orders that are made up on the fly: the same number always gives the same bytes, and none is kept.

use std::fmt;

use super::calendar::{Calendar, Stamped};

/// An order by its number, counted from 1; displays as compact JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order(pub u64);

impl Order {
    /// Identifier of the order, such as `ord_000000001`.
    pub fn id(self) -> String {
        format!("ord_{:09}", self.0)
    }

    /// The order that has this id.
    pub fn of_id(id: &str) -> Option<Self> {
        let order = Self(id.strip_prefix("ord_")?.parse().ok()?);
        (order.id() == id).then_some(order)
    }
}

/// An order as an API with this calendar gives it; displays as compact JSON.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dated<'a>(pub(super) Order, pub(super) &'a Calendar);

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Dated(*self, &Calendar::default()).fmt(f)
    }
}

impl fmt::Display for Dated<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(order, calendar) = *self;
        let dice = scattered(order.0);
        let created = Stamped(calendar.at(order.0), calendar.stamp);
        write!(f, r#"{{"id":"{}","sequence":{},"#, order.id(), BEYOND_DOUBLES.saturating_add(order.0))?;
        write!(f, r#""created":{created},"status":"{}","#, pick(&STATUSES, dice))?;
        let customer = dice % 90_000;
        let name = pick(&NAMES, customer);
        write!(f, r#""customer":{{"id":"cus_{customer:05}","name":"{name}"}},"lines":["#)?;
        let lines = 1 + (dice >> 16) % 2;
        let mut total = 0;
        for line in 0..lines {
            let (quantity, price) = (1 + (dice >> (20 + line)) % 4, 250 + 50 * ((dice >> (24 + 8 * line)) % 256));
            total += quantity * price;
            let comma = if line == 0 { "" } else { "," };
            let (sku, price) = ((dice >> (32 + line)) % 1_000, Cents(price));
            write!(f, r#"{comma}{{"sku":"A-{sku:03}","quantity":{quantity},"price":{price}}}"#)?;
        }
        write!(f, r#"],"total":{},"vat":1.90E-1,"note":"{}"}}"#, Cents(total), pick(&NOTES, dice >> 48))
    }
}

/// 2^53 + 1: from here on a double holds only every other whole number.
pub(super) const BEYOND_DOUBLES: u64 = 9_007_199_254_740_993;

/// Texts are spelled as they go out: a reader that re-serialises them changes their bytes.
const STATUSES: [&str; 4] = ["paid", "shipped", "refunded", "open"];
const NAMES: [&str; 6] =
    ["Zoë Ångström", "Łukasz Żak", r"Ren\u00e9e O'Neill", "山田 太郎", r#"J. \"Jo\" Smith"#, "Ada Obi"];
const NOTES: [&str; 6] = [
    "",
    r"leave it at the door,\nthen ring twice",
    r#"said: \"[{\\\"no\\\": []}],\" and hung up"#,
    r"C:\\orders\\new\t\u2014 caf\u00e9 \ud83d\ude9a",
    r"and\/or: größer als 5 €, 🚚 before noon",
    "]}, {[",
];

/// Bits that look random and depend on the number alone (the finaliser of `SplitMix64`).
pub fn scattered(number: u64) -> u64 {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn pick<const N: usize>(texts: &[&'static str; N], dice: u64) -> &'static str {
    // The remainder is smaller than `N`, so the truncation of the dice on a narrow platform can't matter.
    texts[dice as usize % N]
}

/// An amount that keeps its trailing zeros.
struct Cents(u64);

impl fmt::Display for Cents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn an_order_is_compact_json_of_a_fixed_spelling() {
        let order = concat!(
            r#"{"id":"ord_000000001","sequence":9007199254740994,"created":"2019-01-01T00:00:00Z","status":"open","#,
            r#""customer":{"id":"cus_57535","name":"Łukasz Żak"},"lines":[{"sku":"A-033","quantity":2,"price":64.00},"#,
            r#"{"sku":"A-516","quantity":1,"price":31.00}],"total":159.00,"vat":1.90E-1,"note":""}"#
        );
        assert_eq!(Order(1).to_string(), order);
        let mut length = 0;
        for number in 1..=1_000 {
            let text = Order(number).to_string();
            let value: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value["id"], Order(number).id());
            assert_eq!(value["sequence"].as_u64(), Some(9_007_199_254_740_993 + number));
            assert!(!text.contains(['\n', '\r']), "{text}");
            length += text.len();
        }
        assert!((250_000..=320_000).contains(&length), "{length} bytes for 1,000 orders");
    }

    #[test]
    fn spellings_that_a_parser_would_change_are_common() {
        let orders: Vec<_> = (1..=100).map(|number| Order(number).to_string()).collect();
        for spelling in [".50", ".00", "1.90E-1", r"\u00e9", r"\/", r#"\""#, r"\\", r"\ud83d", "🚚", "山", "]}, {["]
        {
            assert!(orders.iter().any(|order| order.contains(spelling)), "{spelling}");
        }
    }

    #[test]
    fn time_grows_with_the_number_and_has_ties() {
        let times: Vec<String> = (1..=1_000)
            .map(|number| serde_json::from_str::<Value>(&Order(number).to_string()).unwrap()["created"].to_string())
            .collect();
        assert!(times.is_sorted());
        assert_eq!(times.iter().collect::<std::collections::BTreeSet<_>>().len(), 334);
    }

    #[test]
    fn only_the_canonical_id_names_an_order() {
        assert_eq!(Order::of_id("ord_000000250"), Some(Order(250)));
        assert_eq!(Order::of_id(&Order(12_345_678_901).id()), Some(Order(12_345_678_901)));
        for id in ["ord_250", "250", "ord_", "ord_00000025x", "ord_+00000250", ""] {
            assert_eq!(Order::of_id(id), None, "{id}");
        }
        assert!(Order(u64::MAX).to_string().ends_with('}'));
    }
}
