//! A crawl without sockets: what is asked for comes piece by piece, in an order that the dice choose.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use unpage::batch::Batch;
use unpage::config::Caps;
use unpage::pagination::keys::{KeySet, NoSpill};
use unpage::pagination::link_guard::LinkGuard;
use unpage::pagination::page::{Head, Page, PageFields};
use unpage::pagination::plan::{
    Checkpoint, CurrentPageEvent, PageId, PageNews, PageSoFar, PageStanding, PartId, Plan, Proof, Room, Step,
};
use unpage::pagination::request::PageRequest;
use unpage::pagination::retry::Overload;
use unpage::pagination::splitter::{PageShape, Splitter};
use unpage::pagination::verdict::Consistency;
use unpage::pagination::{ConsistencyLevel, PageError, Pagination};
use url::Url;

use crate::server::{Answer, ORIGIN};

/// Time at which the crawls of these tests begin, in seconds.
pub(crate) const NOW: u64 = 1_600_000_000;

/// Source of choices.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn of(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % sides
    }

    fn one_in(&mut self, sides: usize) -> bool {
        sides > 0 && self.below(sides) == 0
    }
}

/// Course of a crawl.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    pub(crate) width: usize,
    pub(crate) seed: u64,
    /// In how many of 4 moments there is no room.
    pub(crate) full: usize,
    /// One attempt of this many breaks off; none where 0.
    pub(crate) breaks: usize,
    /// The width changes one time of this many; never where 0.
    pub(crate) widens: usize,
    /// The crawl is interrupted and resumed behind one page in this many; never if 0.
    pub(crate) interrupts: usize,
    /// Memory for keys, and no store behind it; the default where none is named.
    pub(crate) key_memory: Option<usize>,
    /// Most pages in flight where no count says that they are there.
    pub(crate) guesses: usize,
}

impl Manner {
    pub(crate) fn of(width: usize) -> Self {
        Self { width, seed: 1, full: 0, breaks: 0, widens: 0, interrupts: 0, key_memory: None, guesses: usize::MAX }
    }
}

/// Result of a crawl.
#[derive(Debug)]
pub(crate) struct Crawled {
    /// Records that left, in order.
    pub(crate) ids: Vec<u64>,
    pub(crate) requests: usize,
    /// Requests whose answers were not wanted.
    pub(crate) wasted: usize,
    /// Those that were in flight when the crawl was interrupted.
    pub(crate) lost: usize,
    /// The most pages in flight at a time.
    pub(crate) most: usize,
    pub(crate) end: Result<Proof, PageError>,
    pub(crate) consistency: Option<Consistency>,
}

/// Crawls what `answer` serves.
pub(crate) fn crawl(
    pagination: &Pagination,
    first: PageRequest,
    manner: Manner,
    answer: impl FnMut(&PageRequest) -> Answer,
) -> Crawled {
    let caps = Caps { pages: 10_000, empty_pages: 20, ..Caps::default() };
    let guard = LinkGuard::new(&Url::parse(ORIGIN).unwrap(), &[]);
    let shape = Arc::new(PageShape::new(pagination, &caps));
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
    let consistency = pagination.consistency;
    let pagination = Arc::new(pagination.clone());
    let new = move |width| {
        let plan = Plan::new(Arc::clone(&pagination), caps.clone(), guard.clone(), first.clone(), width, now);
        plan.map(|mut plan| {
            plan.guess_at_most(manner.guesses);
            manner.key_memory.iter().for_each(|memory| plan.compare_keys_in(KeySet::new(*memory, Box::new(NoSpill))));
            plan
        })
    };
    let mut crawled = Crawled {
        ids: Vec::new(),
        requests: 0,
        wasted: 0,
        lost: 0,
        most: 0,
        end: Ok(Proof::NoNext),
        consistency: None,
    };
    match new(manner.width) {
        Ok(plan) => {
            let mut crawl = Crawl {
                plan,
                new: Box::new(new),
                notes: Vec::new(),
                log: Vec::new(),
                shape,
                answer,
                dice: Dice::of(manner.seed),
                manner,
                consistency,
                pages: Vec::new(),
                asked: HashSet::new(),
                emptied: HashSet::new(),
                told: Vec::new(),
                passed: HashMap::new(),
                crawled,
            };
            let end = crawl.run();
            crawl.ended(end)
        }
        Err(wrong) => {
            crawled.end = Err(wrong);
            crawled
        }
    }
}

struct Crawl<A> {
    plan: Plan,
    /// Makes it anew, as wide as this.
    new: Box<dyn Fn(usize) -> Result<Plan, PageError>>,
    /// Checkpoints after each page, as they would be written.
    notes: Vec<String>,
    /// The records that were let through, as their log has them.
    log: Vec<Vec<u8>>,
    shape: Arc<PageShape>,
    answer: A,
    dice: Dice,
    manner: Manner,
    consistency: Option<ConsistencyLevel>,
    pages: Vec<InFlight>,
    /// The requests whose answers came or may still come.
    asked: HashSet<u64>,
    /// Those whose pages came without a record, which may be asked for once more.
    emptied: HashSet<u64>,
    /// The parts that may leave.
    told: Vec<PartId>,
    passed: HashMap<PartId, Vec<u64>>,
    crawled: Crawled,
}

/// A page that was asked for, and what has come of it that the plan hasn't been shown.
struct InFlight {
    id: PageId,
    identity: u64,
    head: Arc<Head>,
    body: String,
    read: usize,
    splitter: Splitter,
    fields: PageFields,
    records: u64,
    /// Records of this attempt that an earlier one brought.
    again: u64,
    stage: Stage,
    was_current: bool,
    held: VecDeque<Event>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Asked,
    Arriving,
    Over,
}

enum Event {
    Begun,
    Records(Batch),
    Page(Page),
    Refused,
    /// No page could be read.
    Lost(PageError),
}

/// Events that may happen next.
enum Next {
    Comes(usize),
    Shown(usize, PartId),
}

impl<A: FnMut(&PageRequest) -> Answer> Crawl<A> {
    fn run(&mut self) -> Result<Proof, PageError> {
        for _ in 0..100_000 {
            if let Some(proof) = self.step()? {
                return Ok(proof);
            }
            self.drop_unwanted();
            let next = self.choices();
            assert!(!next.is_empty(), "the plan waits for nothing");
            let choice = self.dice.below(next.len());
            match next.into_iter().nth(choice).unwrap() {
                Next::Comes(at) => self.comes(at),
                Next::Shown(at, part) => self.show(at, part)?,
            }
        }
        panic!("the plan walks for ever");
    }

    /// Does what the plan wants until it waits.
    fn step(&mut self) -> Result<Option<Proof>, PageError> {
        if self.dice.one_in(self.manner.widens) {
            self.manner.width = 1 + self.dice.below(12);
            self.plan.widen(self.manner.width);
        }
        loop {
            let room = if self.dice.below(4) < self.manner.full { Room::Full } else { Room::Open };
            match self.plan.step(room)? {
                Step::Fetch(page, request) => self.ask(page, &request),
                Step::Emit(part) => {
                    assert!(!self.told.contains(&part), "{part:?} leaves twice");
                    self.told.push(part);
                }
                Step::Wait => return Ok(None),
                Step::Done(end) => {
                    self.drop_unwanted();
                    assert!(self.pages.is_empty(), "pages are wanted after the end");
                    for room in [Room::Open, Room::Full] {
                        let after = self.plan.step(room)?;
                        assert!(matches!(&after, Step::Done(again) if *again == end), "{after:?} after the end");
                    }
                    self.crawled.consistency = Some(end.consistency);
                    return Ok(Some(end.proof));
                }
            }
        }
    }

    fn ask(&mut self, id: PageId, request: &PageRequest) {
        self.drop_unwanted();
        let identity = request.identity();
        // What a move leaves uncertain is read again.
        assert!(
            self.asked.insert(identity) || self.consistency == Some(ConsistencyLevel::Repair),
            "{} is asked for twice",
            request.url
        );
        let Answer { head, body } = (self.answer)(request);
        let head = Arc::new(head);
        let splitter = Splitter::new(Arc::clone(&self.shape));
        self.pages.push(InFlight {
            id,
            identity,
            head,
            body,
            read: 0,
            splitter,
            fields: PageFields::default(),
            records: 0,
            again: 0,
            stage: Stage::Asked,
            was_current: false,
            held: VecDeque::new(),
        });
        self.crawled.requests += 1;
        let in_flight = self.pages.iter().filter(|page| page.stage != Stage::Over).count();
        self.crawled.most = self.crawled.most.max(in_flight);
        assert!(in_flight <= self.manner.width, "{in_flight} pages are in flight, and {} may be", self.manner.width);
    }

    fn drop_unwanted(&mut self) {
        let (plan, asked, crawled) = (&self.plan, &mut self.asked, &mut self.crawled);
        for page in &mut self.pages {
            page.was_current |= matches!(plan.standing(page.id), PageStanding::Current(_));
        }
        self.pages.retain(|page| {
            let wanted = plan.standing(page.id) != PageStanding::Unwanted;
            if !wanted && !page.was_current {
                asked.remove(&page.identity);
                crawled.wasted += 1;
            }
            wanted
        });
    }

    fn choices(&self) -> Vec<Next> {
        let mut next = Vec::new();
        for (at, page) in self.pages.iter().enumerate() {
            if page.stage != Stage::Over {
                next.push(Next::Comes(at));
            }
            match self.plan.standing(page.id) {
                PageStanding::Current(part) if !page.held.is_empty() => next.push(Next::Shown(at, part)),
                _ => {}
            }
        }
        next
    }

    /// The next piece of a page comes.
    fn comes(&mut self, at: usize) {
        let page = &mut self.pages[at];
        let status = page.head.status;
        match page.stage {
            Stage::Asked if !status.is_success() => {
                page.stage = Stage::Over;
                page.held.push_back(Event::Refused);
                self.plan.note(page.id, PageNews::Failed);
                return;
            }
            Stage::Asked => {
                page.stage = Stage::Arriving;
                page.held.push_back(Event::Begun);
            }
            Stage::Arriving if self.dice.one_in(self.manner.breaks) => {
                (page.read, page.again) = (0, page.records);
                page.splitter = Splitter::new(Arc::clone(&self.shape));
                page.fields = PageFields::default();
                page.stage = Stage::Asked;
                return;
            }
            Stage::Arriving if page.read == page.body.len() => {
                page.stage = Stage::Over;
                let splitter = std::mem::replace(&mut page.splitter, Splitter::new(Arc::clone(&self.shape)));
                match splitter.finish_any() {
                    Ok(mut rest) => {
                        rest.batch = page.fresh(rest.batch);
                        page.fields = rest.fields.clone();
                        page.held.push_back(Event::Page(rest));
                    }
                    Err(wrong) => return page.lose(wrong, &mut self.plan),
                }
            }
            Stage::Arriving => {
                let most = page.body.len() - page.read;
                let piece = [most, most, 100, 30][self.dice.below(4)].min(most);
                if let Err(wrong) = page.splitter.feed(&page.body.as_bytes()[page.read..page.read + piece]) {
                    return page.lose(wrong, &mut self.plan);
                }
                page.read += piece;
                let batch = page.splitter.take();
                let batch = page.fresh(batch);
                page.fields = page.splitter.fields().clone();
                if !batch.is_empty() {
                    page.held.push_back(Event::Records(batch));
                }
            }
            Stage::Over => unreachable!("nothing comes of it"),
        }
        let so_far = PageSoFar { head: &page.head, fields: &page.fields, records: page.records };
        self.plan.note(page.id, PageNews::SoFar(so_far));
        if page.stage == Stage::Over {
            self.plan.note(page.id, PageNews::Whole { records: page.records });
        }
    }

    /// The plan is shown the next thing that came of a page.
    fn show(&mut self, at: usize, part: PartId) -> Result<(), PageError> {
        let page = &mut self.pages[at];
        let (id, head) = (page.id, &page.head);
        page.was_current = true;
        let is_page = matches!(page.held.front(), Some(Event::Page(_)));
        let released = match page.held.pop_front().unwrap() {
            Event::Begun => self.plan.accept(id, CurrentPageEvent::Begun(head))?,
            Event::Records(batch) => self.plan.accept(id, CurrentPageEvent::Records(head, &page.fields, batch))?,
            Event::Page(rest) => {
                let page = self.pages.remove(at);
                if page.body.contains("\"data\":[]") && self.emptied.insert(page.identity) {
                    self.asked.remove(&page.identity);
                }
                self.plan.accept(id, CurrentPageEvent::Whole(&page.head, rest))?
            }
            Event::Lost(wrong) => return Err(wrong),
            Event::Refused => {
                let page = self.pages.remove(at);
                // Nothing came of it, so that its place may be asked for again.
                self.asked.remove(&page.identity);
                let is_overload = matches!(page.head.status.as_u16(), 500 | 502 | 504);
                let overload = if is_overload { Overload::Likely } else { Overload::No };
                self.plan.accept(id, CurrentPageEvent::Refused(&page.head, page.body.as_bytes(), overload))?
            }
        };
        let passed: Vec<Batch> = released.into_iter().collect();
        let lines: Vec<_> = passed.iter().flat_map(|batch| batch.each().map(<[u8]>::to_vec)).collect();
        self.passed.entry(part).or_default().extend(lines.iter().map(|line| id_of(line)));
        self.log.extend(lines);
        if is_page && let Some(checkpoint) = self.plan.checkpoint() {
            self.notes.push(serde_json::to_string(&checkpoint).unwrap());
            if self.dice.one_in(self.manner.interrupts) {
                self.interrupt();
            }
        }
        Ok(())
    }

    /// The process is killed behind a whole page, and another one resumes from the written checkpoints.
    fn interrupt(&mut self) {
        self.drop_unwanted();
        for page in self.pages.drain(..) {
            self.asked.remove(&page.identity);
            self.crawled.lost += 1;
        }
        // What of the next page had left already, leaves again, from its first record on.
        self.told.clear();
        self.plan = (self.new)(self.manner.width).unwrap();
        let notes = self.notes.iter().map(|note| serde_json::from_str::<Checkpoint>(note).unwrap());
        self.plan.resume(notes, self.log.last().cloned()).unwrap();
        self.plan.recall(&Batch::new(self.log.concat().into(), self.log.len() as u64)).unwrap();
        let again = self.plan.checkpoint().map(|checkpoint| serde_json::to_string(&checkpoint).unwrap());
        assert_eq!(again.as_ref(), self.notes.last());
    }

    fn ended(mut self, end: Result<Proof, PageError>) -> Crawled {
        let mut left: Vec<u64> = Vec::new();
        for part in &self.told {
            left.extend(self.passed.remove(part).unwrap_or_default());
        }
        if end.is_ok() {
            assert!(self.passed.values().all(Vec::is_empty), "a part never leaves");
        }
        self.crawled.ids = left;
        self.crawled.end = end;
        self.crawled
    }
}

impl InFlight {
    /// The page can't be read, and no further attempt is made.
    fn lose(&mut self, wrong: PageError, plan: &mut Plan) {
        self.stage = Stage::Over;
        self.held.push_back(Event::Lost(wrong));
        plan.note(self.id, PageNews::Failed);
    }

    /// Records that no earlier attempt brought.
    fn fresh(&mut self, batch: Batch) -> Batch {
        let old = self.again.min(batch.records());
        self.again -= old;
        let batch = batch.skip(old);
        self.records += batch.records();
        batch
    }
}

fn id_of(line: &[u8]) -> u64 {
    serde_json::from_slice::<Value>(line).unwrap()["id"].as_u64().unwrap_or(u64::MAX)
}
