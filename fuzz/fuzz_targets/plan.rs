//! No sequence of pages makes a plan panic, crawl for ever, or emit records beyond those that arrived, in any order and
//! with any cuts.
#![no_main]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::SystemTime;

use http::{HeaderMap, StatusCode};
use libfuzzer_sys::fuzz_target;
use unpage::batch::Batch;
use unpage::caps::Caps;
use unpage::config::{Config, Machine};
use unpage::pagination::link_guard::LinkGuard;
use unpage::pagination::page::{Head, Page, PageFields};
use unpage::pagination::plan::{CurrentPageEvent, PageId, PageNews, PageSoFar, PageStanding, Plan, Room, Step};
use unpage::pagination::retry::Overload;
use unpage::pagination::splitter::{PageShape, Splitter};
use unpage::pagination::{PageError, PageRequest};

const STYLES: [&str; 12] = [
    r#"{ type = "link_header" }"#,
    r#"{ type = "next_url", next = "next", more = { path = "more" } }"#,
    r#"{ type = "cursor", next = "next", param = "cursor", same_token = "end" }"#,
    r#"{ type = "page", param = "page", more = { path = "more" } }"#,
    r#"{ type = "offset", param = "offset", step = "next" }"#,
    r#"{ type = "keyset", key = "id", param = "after", overlap = 1 }"#,
    r#"{ type = "range", unit = "items", size = 10 }"#,
    r#"{ type = "none" }"#,
    r#"{ type = "page", param = "page" }"#,
    r#"{ type = "cursor", next = "next", param = "cursor" }
partition = { from = "from", to = "to", kind = "integer", field = "at", order = "ascending" }"#,
    r#"{ type = "offset", param = "offset" }
partition = { from = "from", to = "to", kind = "rfc3339", field = "at", upper = "now", order = "descending" }"#,
    r#"{ type = "cursor", next = "next", param = "cursor" }
partition = { param = "region", values = ["a", "b", "c"] }"#,
];

/// Number of pages in flight.
const WIDTH: usize = 4;

/// A page that was asked for, and what has come of it that the plan hasn't been shown.
struct InFlight {
    id: PageId,
    head: Arc<Head>,
    fields: PageFields,
    held: VecDeque<Event>,
    is_whole: bool,
}

enum Event {
    Begun,
    Records(Batch),
    Page(Page),
    Refused,
}

struct Crawl {
    plan: Plan,
    shape: Arc<PageShape>,
    pages: Vec<InFlight>,
    came: u64,
    emitted: u64,
}

fuzz_target!(|data: &[u8]| {
    let Some((style, pages)) = data.split_first() else { return };
    let style = STYLES[usize::from(*style) % STYLES.len()];
    let text = format!(
        "[[collection]]\npath = '/a'\nupstream = 'http://a'\nrecords = 'r'\ntotal = 'total'\npagination = {style}\n"
    );
    let config = Config::read(&text, "", &Machine).expect("each style is valid");
    let (pagination, url) =
        (Arc::clone(&config.collections[0].pagination), url::Url::parse("http://a/a").expect("a URL"));
    let (shape, guard) = (Arc::new(PageShape::new(&pagination, &Caps::default())), LinkGuard::new(&url, &[]));
    let first = PageRequest::get(url);
    let plan = Plan::new(pagination, Caps::default(), guard, first, WIDTH, SystemTime::UNIX_EPOCH);
    let plan = plan.expect("a first request");
    let mut crawl = Crawl { plan, shape, pages: Vec::new(), came: 0, emitted: 0 };
    for page in pages.split(|byte| *byte == 0xff) {
        match crawl.turn(page) {
            Ok(Turn::Going) => {}
            Ok(Turn::Done) | Err(_) => return,
        }
    }
});

/// Returns true if the crawl continues.
enum Turn {
    Going,
    Done,
}

impl Crawl {
    /// Does what the plan wants, and lets this page come: its first byte chooses for which request, and how much room there is.
    fn turn(&mut self, data: &[u8]) -> Result<Turn, PageError> {
        let (choice, body) = data.split_first().map_or((0, data), |(choice, body)| (*choice, body));
        loop {
            let room = if choice & 0x80 == 0 { Room::Open } else { Room::Full };
            match self.plan.step(room)? {
                Step::Fetch(id, request) => {
                    let head = Head { status: StatusCode::OK, headers: HeaderMap::new(), url: request.url.clone() };
                    let head = Arc::new(head);
                    self.drop_unwanted();
                    self.pages.push(InFlight {
                        id,
                        head,
                        fields: PageFields::default(),
                        held: VecDeque::new(),
                        is_whole: false,
                    });
                    let in_flight = self.pages.iter().filter(|page| !page.is_whole).count();
                    assert!(in_flight <= WIDTH, "{in_flight} pages are in flight");
                }
                Step::Emit(_) => {}
                Step::Wait => break,
                Step::Done(_) => {
                    assert!(matches!(self.plan.step(Room::Open)?, Step::Done(_)), "something follows the end");
                    return Ok(Turn::Done);
                }
            }
        }
        self.drop_unwanted();
        let waiting: Vec<_> = (0..self.pages.len()).filter(|at| !self.pages[*at].is_whole).collect();
        assert!(!waiting.is_empty(), "the plan waits for nothing");
        self.comes(waiting[usize::from(choice & 0x0f) % waiting.len()], choice & 0x40 != 0, body)?;
        while let Some(at) = self.shown_next() {
            self.show(at)?;
        }
        Ok(Turn::Going)
    }

    fn drop_unwanted(&mut self) {
        self.pages.retain(|page| self.plan.standing(page.id) != PageStanding::Unwanted);
    }

    /// A page comes, or is refused.
    fn comes(&mut self, at: usize, is_refused: bool, body: &[u8]) -> Result<(), PageError> {
        let page = &mut self.pages[at];
        page.is_whole = true;
        if is_refused {
            Arc::make_mut(&mut page.head).status = StatusCode::NOT_FOUND;
            page.held.push_back(Event::Refused);
            self.plan.note(page.id, PageNews::Failed);
            return Ok(());
        }
        page.held.push_back(Event::Begun);
        let (mut splitter, mut records) = (Splitter::new(Arc::clone(&self.shape)), 0);
        for piece in body.chunks(1 + body.len() / 3) {
            splitter.feed(piece)?;
            let batch = splitter.take();
            records += batch.records();
            page.held.push_back(Event::Records(batch));
            let fields = splitter.fields();
            self.plan.note(page.id, PageNews::SoFar(PageSoFar { head: &page.head, fields, records }));
        }
        let rest = splitter.finish_any()?;
        records += rest.batch.records();
        page.fields = rest.fields.clone();
        page.held.push_back(Event::Page(rest));
        self.came += records;
        self.plan.note(page.id, PageNews::Whole { records });
        Ok(())
    }

    fn shown_next(&mut self) -> Option<usize> {
        self.drop_unwanted();
        let is_next =
            |page: &InFlight| !page.held.is_empty() && matches!(self.plan.standing(page.id), PageStanding::Current(_));
        self.pages.iter().position(is_next)
    }

    /// The plan is shown the next thing that came of a page.
    fn show(&mut self, at: usize) -> Result<(), PageError> {
        let page = &mut self.pages[at];
        let released = match page.held.pop_front() {
            Some(Event::Begun) => self.plan.accept(page.id, CurrentPageEvent::Begun(&page.head))?,
            Some(Event::Records(batch)) => {
                self.plan.accept(page.id, CurrentPageEvent::Records(&page.head, &page.fields, batch))?
            }
            Some(Event::Page(rest)) => {
                let page = self.pages.remove(at);
                self.plan.accept(page.id, CurrentPageEvent::Whole(&page.head, rest))?
            }
            Some(Event::Refused) => {
                let page = self.pages.remove(at);
                self.plan.accept(page.id, CurrentPageEvent::Refused(&page.head, b"", Overload::No))?
            }
            None => return Ok(()),
        };
        self.emitted += released.into_iter().map(|batch| batch.records()).sum::<u64>();
        assert!(self.emitted <= self.came, "more left than came");
        Ok(())
    }
}
