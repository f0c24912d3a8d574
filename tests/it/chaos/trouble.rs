//! Troubles of an upstream: faults that pass, faults that stay, and lies.

use bytes::Bytes;
use http::{Response, StatusCode, header};
use unpage::demo::Total;

use super::case::{Case, Dice};
use super::page::PageText;
use crate::codings::coded;
use crate::upstream::{Asked, Framing, Reply, answer};

#[derive(Clone, Copy, Debug)]
pub(super) enum Trouble {
    None,
    /// On this many attempts, of which the proxy makes three.
    Passing(Fault, usize),
    Staying(Fault),
    Lie(Lie),
}

/// An answer that is visibly none.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    Status(u16),
    Cut(Framing),
    /// The whole body under a length that is too long.
    LongLength,
    /// The whole body under a length that is too short.
    ShortLength,
    /// Half of the body, and then nothing.
    Stall,
    /// A connection that closes without an answer.
    Silence,
    /// Half of the body, framed as if it were whole.
    Half,
}

/// An answer that looks good and is not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Lie {
    /// A record is in none of the pages.
    Skipped,
    /// The same, and the total is as if it didn't exist.
    SkippedAndCounted,
    /// A page ends before the record.
    Short,
    /// A page has no records, and leads on.
    Empty,
    /// A record stands twice in its page.
    Doubled,
    /// A page says that nothing follows.
    Last,
    /// A page is the first one again.
    Again,
    /// A page of status 200 without records, which says that it failed.
    Failed,
    /// The same with a word that says so, and no more.
    Worded,
    /// A status for a page without content.
    Contentless(u16),
    /// The total.
    Count(Total),
}

const STATUSES: [u16; 9] = [500, 502, 503, 504, 400, 401, 403, 404, 416];
const PASSING: [Fault; 11] = [
    Fault::Status(500),
    Fault::Status(502),
    Fault::Status(503),
    Fault::Status(504),
    Fault::Status(429),
    Fault::Cut(Framing::Length),
    Fault::Cut(Framing::Chunked),
    Fault::LongLength,
    Fault::Stall,
    Fault::Silence,
    Fault::Half,
];
const LIES: [Lie; 17] = [
    Lie::Skipped,
    Lie::SkippedAndCounted,
    Lie::Short,
    Lie::Empty,
    Lie::Doubled,
    Lie::Last,
    Lie::Again,
    Lie::Failed,
    Lie::Worded,
    Lie::Contentless(202),
    Lie::Contentless(204),
    Lie::Count(Total::Off(-2)),
    Lie::Count(Total::Off(7)),
    Lie::Count(Total::FirstPage),
    Lie::Count(Total::Text),
    Lie::Count(Total::Negative),
    Lie::Count(Total::Absent),
];

impl Trouble {
    pub(super) fn of(dice: &mut Dice) -> Self {
        match dice.roll(8) {
            0 => Self::None,
            1 | 2 => Self::Passing(dice.pick(&PASSING), 1 + dice.roll(2) as usize),
            3 => Self::Staying(Fault::Status(dice.pick(&STATUSES))),
            4 => {
                let close = Fault::Cut(Framing::Close);
                Self::Staying(dice.pick(&[&PASSING[5..], &[close, Fault::ShortLength]].concat()))
            }
            _ => Self::Lie(dice.pick(&LIES)),
        }
    }

    pub(super) fn is_lie(self) -> bool {
        matches!(self, Self::Lie(_))
    }

    /// True if no request is made again for it: `fetch` waits for a retry as long as it does for others.
    pub(super) fn is_quick(self) -> bool {
        use Lie::{Contentless, Failed, Worded};
        matches!(self, Self::None)
            || matches!(self, Self::Lie(lie) if !matches!(lie, Contentless(_) | Failed | Worded | Lie::Empty))
    }
}

impl Case {
    /// True if a stream of all orders must come: what fails does so on fewer attempts than are made.
    pub(super) fn must_succeed(&self) -> bool {
        match self.trouble {
            Trouble::None => true,
            Trouble::Passing(fault, _) => {
                !matches!(fault, Fault::Stall | Fault::Half | Fault::LongLength | Fault::Silence)
            }
            _ => false,
        }
    }

    /// True if the upstream says something that a stream with other orders disagrees with.
    pub(super) fn contradicts(&self) -> bool {
        let (is_range, is_offset) = (self.dialect.path == "/range/orders", self.dialect.path == "/offset/orders");
        match self.trouble {
            // A numbered page that doesn't exist, or has no content, is the end of a list without a total.
            Trouble::Staying(Fault::Status(404 | 416)) => !self.is_numbered() || self.is_counted(),
            Trouble::None | Trouble::Passing(..) | Trouble::Staying(_) => true,
            Trouble::Lie(lie) => match lie {
                Lie::SkippedAndCounted => is_range,
                // Where pages share records the list may change, and then a count may be larger than what came.
                Lie::Skipped => is_range || self.is_counted() && !self.dialect.repairs,
                Lie::Short | Lie::Empty | Lie::Last => self.is_counted(),
                Lie::Contentless(204) => !self.is_numbered() || self.is_counted(),
                // An offset counts the records that came, of which the upstream has one less.
                Lie::Doubled => !is_offset,
                // A page that ends where the total says is the last one.
                Lie::Count(Total::Off(..0)) => !is_range,
                Lie::Again | Lie::Failed | Lie::Worded | Lie::Contentless(_) | Lie::Count(_) => true,
            },
        }
    }

    /// True if an order, or all from it on, are shown in no page: the list that the upstream shows is one without them.
    pub(super) fn hides(&self) -> bool {
        match self.trouble {
            // A page that lacks one of the orders that it counts.
            Trouble::Lie(Lie::Skipped) => !self.contradicts() && !self.is_counted(),
            Trouble::Lie(Lie::SkippedAndCounted) => !self.contradicts(),
            // Of the orders that a short page leaves out, only the last of all stands in no other page.
            Trouble::Lie(Lie::Short) => !self.contradicts() && self.at == self.records,
            _ => false,
        }
    }

    fn is_numbered(&self) -> bool {
        ["/page/orders", "/offset/orders", "/range/orders"].contains(&self.dialect.path)
    }

    /// The upstream's reply to a request that the legacy API would answer so.
    pub(super) fn reply(&self, asked: &Asked, answer: Response<Bytes>) -> Reply {
        let is_here = PageText::holds(&answer, self.at);
        match self.trouble {
            Trouble::Passing(fault, attempts) if is_here && asked.attempt <= attempts => self.failed(fault, answer),
            Trouble::Staying(fault) if is_here => self.failed(fault, answer),
            Trouble::Lie(lie) if is_here => self.framed(self.lied(lie, answer)),
            _ => self.framed(answer),
        }
    }

    fn failed(&self, fault: Fault, page: Response<Bytes>) -> Reply {
        let is_http2 = self.upstream == "2";
        let page = self.encoded(page);
        let length = page.body().len();
        let with_length = |length: usize| raw(&page, &format!("content-length: {length}\r\n"), page.body());
        match fault {
            Fault::Status(429) => Reply::Whole(answer(429, &[("retry-after", "0")], "{\"error\":\"slower\"}")),
            Fault::Status(status) => Reply::Whole(answer(status, &[], "{\"error\":\"it is the script's fault\"}")),
            Fault::Half => {
                let half = page.body().slice(..length / 2);
                Reply::Whole(page.map(|_| half))
            }
            Fault::Cut(framing) => Reply::Cut(page, framing),
            _ if is_http2 => Reply::Cut(page, Framing::Length),
            Fault::LongLength => Reply::Raw(with_length(length + 7)),
            Fault::ShortLength => Reply::Raw(with_length(length - 7)),
            Fault::Stall => {
                Reply::Stall(raw(&page, &format!("content-length: {length}\r\n"), &page.body().slice(..length / 2)))
            }
            Fault::Silence => Reply::Raw(Vec::new()),
        }
    }

    /// A page of status 200 that lies.
    fn lied(&self, lie: Lie, page: Response<Bytes>) -> Response<Bytes> {
        let mut text = PageText::of(&page, self.dialect.path, self.records);
        let place = text.place(self.at);
        match lie {
            Lie::Count(_) => return page,
            Lie::Contentless(status) => return answer(status, &[], ""),
            Lie::Skipped | Lie::SkippedAndCounted => drop(text.orders.remove(place)),
            Lie::Short => text.orders.truncate(place),
            Lie::Empty => text.orders.clear(),
            Lie::Doubled => text.orders.insert(place, text.orders[place].clone()),
            Lie::Last => text.end(),
            Lie::Again => text.orders = PageText::first(self.dialect.path, self.page),
            Lie::Failed => text.fail("error", "message", "the index is not available, try again"),
            Lie::Worded => text.fail("failed", "note", "none"),
        }
        text.into_answer(page)
    }

    /// A good answer, coded and framed.
    fn framed(&self, page: Response<Bytes>) -> Reply {
        let page = self.encoded(page);
        let body = page.body();
        let bodiless = matches!(page.status(), StatusCode::NO_CONTENT) || self.upstream == "2";
        match self.framing {
            None => Reply::Whole(page),
            _ if bodiless => Reply::Whole(page),
            Some(Framing::Length) => {
                let fields = format!("content-length: {}\r\nconnection: close\r\n", body.len());
                Reply::Raw(raw(&page, &fields, body))
            }
            Some(Framing::Close) => Reply::Raw(raw(&page, "connection: close\r\n", body)),
            Some(Framing::Chunked) => {
                let mut chunks = Vec::new();
                for chunk in body.chunks(700) {
                    chunks.extend([format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
                }
                chunks.extend(b"0\r\n\r\n");
                Reply::Raw(raw(&page, "transfer-encoding: chunked\r\nconnection: close\r\n", &chunks))
            }
        }
    }

    fn encoded(&self, page: Response<Bytes>) -> Response<Bytes> {
        let page = self.form.page(page);
        match self.coding {
            Some(encoder) if !page.body().is_empty() => coded(page, encoder),
            _ => page,
        }
    }
}

/// A response on the wire, with these fields for its framing.
fn raw(page: &Response<Bytes>, framing: &str, body: &[u8]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {} -\r\n", page.status().as_u16());
    for (name, value) in page.headers().iter().filter(|(name, _)| *name != header::CONTENT_LENGTH) {
        head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    [head.as_bytes(), framing.as_bytes(), b"\r\n", body].concat()
}
