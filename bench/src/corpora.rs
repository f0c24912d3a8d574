//! Corpora: pages that resemble real ones, made from a seed.

use std::fmt::Write;

use fastrand::Rng;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// Records per page, where a page isn't the whole corpus.
const PAGE: usize = 100;

/// Words of English and of scripts that need two, three and four bytes a letter.
const WORDS: [&str; 16] = [
    "server", "returns", "a", "page", "without", "its", "cursor", "when", "the", "limit", "is", "larger", "than",
    "what", "it", "promised",
];
const FOREIGN: [&str; 6] = ["Größe", "naïve", "заказ", "注文番号", "ελληνικά", "🛒✅"];
const AWKWARD: [&str; 8] =
    [r#"\"quoted\""#, r"C:\\temp\\", r"\n\t", r"\u00e9\u4e2d", "{not: [json]}", "],[", r"\/path\/", r#"\\\\\""#];

/// One kind of page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corpus {
    /// Nested objects of about 3.2 KB, as an issue tracker has them.
    Issues,
    /// Flat objects of about 250 B.
    Orders,
    /// About 1.5 KB of strings, with escapes, brackets and letters of several bytes in them.
    Strings,
    /// [`Corpus::Issues`], pretty-printed.
    PrettyIssues,
    /// [`Corpus::Orders`], pretty-printed.
    PrettyOrders,
    /// Objects of one small number.
    Tiny,
}

impl Corpus {
    pub const ALL: [Self; 6] =
        [Self::Issues, Self::Orders, Self::Strings, Self::PrettyIssues, Self::PrettyOrders, Self::Tiny];

    /// The five that the figures are the worst of.
    pub const FIVE: [Self; 5] = [Self::Issues, Self::Orders, Self::Strings, Self::PrettyIssues, Self::PrettyOrders];

    /// The column's heading.
    pub fn name(self) -> &'static str {
        match self {
            Self::Issues => "issues",
            Self::Orders => "orders",
            Self::Strings => "strings",
            Self::PrettyIssues => "p-issues",
            Self::PrettyOrders => "p-orders",
            Self::Tiny => "tiny",
        }
    }

    /// Expected [`fingerprint`] of this corpus, so that all machines measure the same bytes.
    pub fn golden(self) -> u64 {
        match self {
            Self::Issues => 0x52d307bd0e4d7589,
            Self::Orders => 0x27caf4a7f554d554,
            Self::Strings => 0x17f8cf89c689e43a,
            Self::PrettyIssues => 0x03f4408c8089c8b6,
            Self::PrettyOrders => 0xb135a7408ce4b34f,
            Self::Tiny => 0x5d3a532bf59d36b2,
        }
    }

    /// Pages of 100 records, as many as it takes to have this many bytes.
    pub fn pages(self, bytes: usize) -> Vec<Vec<u8>> {
        let mut maker = Maker::new(self);
        let mut pages = Vec::new();
        let mut size = 0;
        while size < bytes {
            let page = maker.page(PAGE);
            size += page.len();
            pages.push(page);
        }
        pages
    }

    /// One page of this many bytes, or a record more.
    pub fn page_of_bytes(self, bytes: usize) -> Vec<u8> {
        Maker::new(self).page_until(|page, _| page.len() >= bytes)
    }

    /// One page of this many records.
    pub fn page_of_records(self, records: usize) -> Vec<u8> {
        Maker::new(self).page(records)
    }
}

/// Makes one record after the other, the same ones from the same seed.
#[derive(Debug)]
pub struct Maker {
    corpus: Corpus,
    dice: Rng,
    id: u64,
}

impl Maker {
    pub fn new(corpus: Corpus) -> Self {
        Self { corpus, dice: Rng::with_seed(7), id: 1_000_000 }
    }

    /// The next page.
    fn page(&mut self, records: usize) -> Vec<u8> {
        self.page_until(|_, count| count == records)
    }

    fn page_until(&mut self, full: impl Fn(&str, usize) -> bool) -> Vec<u8> {
        let mut page = String::from(r#"{"data":["#);
        let mut count = 0;
        while !full(&page, count) {
            if count > 0 {
                page.push(',');
            }
            self.record(&mut page).expect("a `String` takes every text");
            count += 1;
        }
        write!(page, r#"],"next":"/v1/records?cursor={}"}}"#, self.id).expect("a `String` takes every text");
        match self.corpus {
            Corpus::PrettyIssues | Corpus::PrettyOrders => pretty(&page),
            Corpus::Issues | Corpus::Orders | Corpus::Strings | Corpus::Tiny => page.into_bytes(),
        }
    }

    /// The next record's compact text.
    pub fn record(&mut self, out: &mut String) -> std::fmt::Result {
        self.id += 1;
        match self.corpus {
            Corpus::Issues | Corpus::PrettyIssues => self.issue(out),
            Corpus::Orders | Corpus::PrettyOrders => self.order(out),
            Corpus::Strings => self.strings(out),
            Corpus::Tiny => write!(out, r#"{{"id":{}}}"#, self.id),
        }
    }

    fn issue(&mut self, out: &mut String) -> std::fmt::Result {
        let id = self.id;
        write!(
            out,
            r#"{{"id":{id},"node_id":"I_kwDO{id:x}","url":"https://api.example.com/repos/acme/shop/issues/{id}","#
        )?;
        write!(out, r#""number":{},"title":"{}","user":"#, id % 10_000, self.text(7))?;
        self.user(out)?;
        out.push_str(r#","labels":["#);
        for label in 0..4 {
            let separator = if label > 0 { "," } else { "" };
            let color = self.dice.u32(..1 << 24);
            write!(
                out,
                r#"{separator}{{"id":{},"name":"area: {}","color":"{color:06x}","default":false,"#,
                id * 7,
                self.text(1)
            )?;
            write!(out, r#""description":"{}"}}"#, self.text(6))?;
        }
        write!(
            out,
            r#"],"state":"open","locked":false,"assignee":null,"milestone":{{"title":"{}","creator":"#,
            self.text(2)
        )?;
        self.user(out)?;
        write!(
            out,
            r#","open_issues":{},"due_on":"2026-04-01T00:00:00Z"}},"comments":{},"#,
            self.dice.u8(..),
            self.dice.u8(..20)
        )?;
        write!(
            out,
            r#""created_at":"2026-01-{:02}T10:20:30Z","closed_at":null,"score":{}.50,"body":""#,
            id % 28 + 1,
            self.dice.u16(..)
        )?;
        for _ in 0..16 {
            write!(out, r"{}.\r\n\r\n", self.text(14))?;
        }
        write!(out, r#"","reactions":{{"total_count":{},"+1":1,"-1":0,"laugh":0,"eyes":[1,2,3]}}}}"#, self.dice.u8(..9))
    }

    fn user(&mut self, out: &mut String) -> std::fmt::Result {
        let (login, id) = (self.text(1), self.dice.u32(..));
        let address = "https://api.example.com/users";
        write!(out, r#"{{"login":"{login}-{id}","id":{id},"avatar_url":"https://avatars.example.com/u/{id}?v=4","#)?;
        write!(out, r#""url":"{address}/{login}","followers_url":"{address}/{login}/followers","#)?;
        write!(out, r#""gists_url":"{address}/{login}/gists{{/gist_id}}","repos_url":"{address}/{login}/repos","#)?;
        write!(out, r#""events_url":"{address}/{login}/events{{/privacy}}","type":"User","site_admin":false}}"#)
    }

    fn order(&mut self, out: &mut String) -> std::fmt::Result {
        let status = ["open", "paid", "shipped", "returned"][self.dice.usize(..4)];
        let (id, cents, quantity) = (self.id, self.dice.u16(..), self.dice.u8(1..9));
        write!(
            out,
            r#"{{"id":{id},"customer":"cus_{:010x}","status":"{status}","currency":"EUR","#,
            self.dice.u64(..1 << 40)
        )?;
        write!(
            out,
            r#""total":{}.{:02},"quantity":{quantity},"sku":"SKU-{:05}","gift":{},"#,
            cents / 100,
            cents % 100,
            id % 99_991,
            self.dice.bool()
        )?;
        write!(
            out,
            r#""created":"2026-{:02}-{:02}T12:00:00Z","note":"{}","coupon":null}}"#,
            id % 12 + 1,
            id % 28 + 1,
            self.text(11)
        )
    }

    fn strings(&mut self, out: &mut String) -> std::fmt::Result {
        write!(out, r#"{{"id":"{}""#, self.id)?;
        for name in ["subject", "text", "html", "path", "quote", "summary"] {
            write!(out, r#","{name}":""#)?;
            for _ in 0..10 {
                let awkward = AWKWARD[self.dice.usize(..AWKWARD.len())];
                let foreign = FOREIGN[self.dice.usize(..FOREIGN.len())];
                write!(out, "{awkward} {} {foreign} ", WORDS[self.dice.usize(..WORDS.len())])?;
            }
            out.push('"');
        }
        out.push('}');
        Ok(())
    }

    fn text(&mut self, words: usize) -> String {
        let words: Vec<_> = (0..words).map(|_| WORDS[self.dice.usize(..WORDS.len())]).collect();
        words.join(" ")
    }
}

/// The page's lines as serde_json sees them: what every approach must come to.
pub fn expected(page: &[u8]) -> Vec<u8> {
    #[derive(Deserialize)]
    struct Page<'a> {
        #[serde(borrow)]
        data: Vec<&'a RawValue>,
    }
    let page: Page<'_> = serde_json::from_slice(page).expect("a generated page is JSON");
    page.data
        .iter()
        .flat_map(|record| record.get().replace(['\n', '\r'], " ").into_bytes().into_iter().chain([b'\n']))
        .collect()
}

/// A hash (FNV-1a) of a corpus' first pages and of their lines.
pub fn fingerprint(corpus: Corpus) -> u64 {
    let pages = corpus.pages(1 << 20);
    let bytes = pages.iter().flat_map(|page| page.iter().copied().chain(expected(page)));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn pretty(page: &str) -> Vec<u8> {
    let page: Value = serde_json::from_str(page).expect("a generated page is JSON");
    serde_json::to_vec_pretty(&page).expect("a value has its text")
}
