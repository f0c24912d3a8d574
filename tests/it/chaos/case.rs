//! One case: a dialect, a way to read it, and one trouble, all from a seed.

use std::sync::OnceLock;

use http::Method;
use toml::{Table, Value};
use unpage::demo::{Total, configuration, scattered};

use super::form::Form;
use super::trouble::{Lie, Trouble};
use crate::codings::{ENCODERS, Encoder};
use crate::proxy::RETRY;
use crate::upstream::Framing;

/// Everything that a crawl depends on.
#[derive(Clone)]
pub(super) struct Case {
    pub(super) seed: u64,
    pub(super) dialect: &'static Dialect,
    pub(super) records: u64,
    /// Largest page.
    pub(super) page: u64,
    pub(super) trouble: Trouble,
    /// Number of the order whose page has the trouble.
    pub(super) at: u64,
    /// True if the upstream tells no total.
    pub(super) is_mute: bool,
    pub(super) width: &'static str,
    pub(super) coding: Option<Encoder>,
    pub(super) framing: Option<Framing>,
    /// Version of HTTP between proxy and upstream.
    pub(super) upstream: &'static str,
    pub(super) client: Client,
    pub(super) form: Form,
}

/// One collection of the demo.
#[derive(Debug)]
pub(super) struct Dialect {
    pub(super) path: &'static str,
    pub(super) method: Method,
    /// Its table in the demo's configuration.
    table: Table,
    /// True if its pages share records.
    pub(super) repairs: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    Http1,
    Http2,
    Fetch,
}

/// Numbers that look random and follow from a seed.
pub(super) struct Dice(u64);

impl Dice {
    /// A number below `sides`.
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 += 1;
        scattered(self.0) % sides
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len() as u64) as usize]
    }
}

impl Case {
    pub(super) fn of(seed: u64) -> Self {
        let mut dice = Dice(scattered(seed));
        let dialect = &dialects()[dice.roll(dialects().len() as u64) as usize];
        let page = dice.pick(&[3, 5, 10]);
        // Two pages at least, and every other time a last one that is full.
        let records = page * (2 + dice.roll(7)) + dice.pick(&[0, 1]) * dice.roll(page);
        let trouble = Trouble::of(&mut dice);
        let mut case = Self {
            seed,
            dialect,
            records,
            page,
            // A first page that says that it is all is believed: nothing can tell it from one that is.
            at: if trouble.is_lie() { page + 1 + dice.roll(records - page) } else { 1 + dice.roll(records) },
            trouble,
            // A range past the end is proven by the length that its refusal tells.
            is_mute: dice.roll(3) == 0 && dialect.path != "/range/orders",
            width: dice.pick(&["1", "6", "\"adaptive\""]),
            coding: (dice.roll(3) == 0).then(|| dice.pick(&ENCODERS)),
            framing: dice.pick(&[None, None, Some(Framing::Length), Some(Framing::Chunked), Some(Framing::Close)]),
            upstream: dice.pick(&["1.1", "1.1", "2"]),
            client: dice.pick(&[Client::Http1, Client::Http2]),
            form: Form::of(seed),
        };
        if trouble.is_quick() && !dialect.repairs && dice.roll(8) == 0 && case.dialect.records().is_some() {
            (case.client, case.upstream) = (Client::Fetch, "1.1");
        }
        case
    }

    /// The upstream's statement about the number of orders.
    pub(super) fn total(&self) -> Total {
        match self.trouble {
            Trouble::Lie(Lie::Count(total)) => total,
            Trouble::Lie(Lie::SkippedAndCounted) => Total::Off(-1),
            _ if self.is_mute => Total::Absent,
            _ => Total::True,
        }
    }

    /// True if the upstream says how many orders there are, and the configuration where.
    pub(super) fn is_counted(&self) -> bool {
        let counts = self.dialect.table.contains_key("total") || self.dialect.path == "/range/orders";
        counts && matches!(self.total(), Total::True | Total::FirstPage | Total::Text)
    }

    /// Configuration of this one collection.
    pub(super) fn config(&self, upstream: &str) -> String {
        let consistency = if self.dialect.repairs { "consistency = \"repair\"" } else { "" };
        let lines = format!(
            "upstream = \"{upstream}\"\nwidth = {}\nhttp = \"{}\"\ntimeouts = {{ idle = \"300ms\" }}\n{RETRY}\n{consistency}",
            self.width, self.upstream
        );
        let mut table = self.dialect.table.clone();
        table.extend(lines.parse::<Table>().unwrap());
        Table::from_iter([("collection".to_owned(), Value::Array(vec![Value::Table(table)]))]).to_string()
    }

    /// Arguments of `fetch` that say what the demo's configuration says.
    pub(super) fn fetch_arguments(&self, upstream: &str) -> Vec<String> {
        let Dialect { path, method, table, .. } = self.dialect;
        let mut arguments = vec!["fetch".to_owned(), format!("{upstream}{path}"), "--key".into(), "id".into()];
        arguments.extend([
            "--width".into(),
            self.width.trim_matches('"').into(),
            "--method".into(),
            method.to_string(),
        ]);
        for (option, key) in [("--pagination", "pagination"), ("--records", "records"), ("--total", "total")] {
            if let Some(value) = table.get(key) {
                arguments.extend([option.into(), value.as_str().map_or(value.to_string(), ToOwned::to_owned)]);
            }
        }
        if *method == Method::POST {
            let body = table.get("body").map_or("{}".to_owned(), |body| serde_json::to_string(body).unwrap());
            arguments.extend(["--data".into(), body]);
        }
        arguments
    }
}

impl Dialect {
    /// Path of the records, where the command line can say it.
    fn records(&self) -> Option<&str> {
        self.table.get("records").and_then(Value::as_str)
    }
}

/// The collections of the demo that have pages, and the one whose pages share records.
fn dialects() -> &'static [Dialect] {
    static DIALECTS: OnceLock<Vec<Dialect>> = OnceLock::new();
    DIALECTS.get_or_init(|| {
        let config: Table = configuration("http://127.0.0.1").parse().unwrap();
        let mut dialects: Vec<_> =
            config["collection"].as_array().unwrap().iter().map(|table| Dialect::of(table, false)).collect();
        dialects.retain(|dialect| dialect.path != "/none/orders");
        let offset =
            config["collection"].as_array().unwrap().iter().find(|table| text(table, "path") == "/offset/orders");
        dialects.push(Dialect::of(offset.unwrap(), true));
        assert_eq!(dialects.len(), 14);
        dialects
    })
}

impl Dialect {
    fn of(table: &Value, repairs: bool) -> Self {
        let path = text(table, "path").to_owned().leak();
        let method = text(table, "method").parse().unwrap();
        Self { path, method, table: table.as_table().unwrap().clone(), repairs }
    }
}

fn text<'a>(table: &'a Value, key: &str) -> &'a str {
    table[key].as_str().unwrap()
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { seed, dialect, records, page, trouble, at, width, framing, upstream, client, form, .. } = self;
        let (coding, total) = (self.coding.map_or("none", |(name, _)| name), self.total());
        write!(f, "UNPAGE_SEED={seed}: {}{}: ", dialect.path, if dialect.repairs { " (repair)" } else { "" })?;
        write!(f, "{records} orders by {page}, total {total:?}, {trouble:?} at order {at}, width {width}, ")?;
        write!(f, "coding {coding}, framing {framing:?}, HTTP/{upstream}, {client:?}, {}", form.name)
    }
}
