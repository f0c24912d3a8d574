//! A list that changes, its upstream, and a crawl of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use unpage::batch::{Batch, LinesHash};
use unpage::config::Caps;
use unpage::pagination::link_guard::LinkGuard;
use unpage::pagination::page::{Head, Page, PageFields};
use unpage::pagination::plan::{
    Checkpoint, CurrentPageEvent, PageId, PageNews, PageSoFar, PageStanding, Plan, Room, Step,
};
use unpage::pagination::request::{PageRequest, query_value};
use unpage::pagination::retry::Overload;
use unpage::pagination::verdict::{Consistency, ProvenEnd};
use unpage::pagination::{PageError, Pagination, Path};
use url::Url;

const ORIGIN: &str = "http://api.example";

/// Parameters of a key, whose record the upstream compares or looks up; one that is gone is answered as the parameter says.
pub(crate) const COMPARED: &str = "after";
pub(crate) const OR_NOTHING: &str = "after_or_nothing";
pub(crate) const OR_FIRST: &str = "after_or_first";
pub(crate) const OR_NOT_FOUND: &str = "after_or_not_found";
pub(crate) const KEY_PARAMS: [&str; 4] = [COMPARED, OR_NOTHING, OR_FIRST, OR_NOT_FOUND];

/// Source of choices: all of them one after the other, or random ones.
pub(crate) enum Choices {
    /// Path through the tree of choices, each with the number of its ways.
    All {
        path: Vec<(usize, usize)>,
        at: usize,
    },
    Random(u64),
}

impl Choices {
    pub(crate) fn all() -> Self {
        Self::All { path: Vec::new(), at: 0 }
    }

    pub(crate) fn pick(&mut self, ways: usize) -> usize {
        match self {
            Self::All { path, at } => {
                if *at == path.len() {
                    path.push((0, ways));
                }
                let (taken, known) = path[*at];
                assert_eq!(known, ways, "the same choices lead elsewhere");
                *at += 1;
                taken
            }
            Self::Random(seed) => {
                *seed ^= *seed << 13;
                *seed ^= *seed >> 7;
                *seed ^= *seed << 17;
                (*seed >> 16) as usize % ways
            }
        }
    }

    /// Moves to the next course; returns false behind the last.
    pub(crate) fn advance(&mut self) -> bool {
        let Self::All { path, at } = self else { return false };
        *at = 0;
        while let Some((taken, ways)) = path.pop() {
            if taken + 1 < ways {
                path.push((taken + 1, ways));
                return true;
            }
        }
        false
    }
}

/// Kinds of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    InsertsAndDeletes,
    /// Records also move past others.
    Moves,
    /// Records that came are deleted.
    KnownDeletes,
}

/// Kinds of worlds.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) records: usize,
    /// Largest page.
    pub(crate) page: usize,
    /// Most changes.
    pub(crate) changes: usize,
    /// Probability of a change before a request where choices are random: one of this many.
    pub(crate) rarity: usize,
    pub(crate) kind: ChangeKind,
    pub(crate) with_total: bool,
    pub(crate) width: usize,
    /// Most kills.
    pub(crate) kills: usize,
}

/// Result of a crawl.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) ids: Vec<u64>,
    pub(crate) end: Result<ProvenEnd, PageError>,
    pub(crate) requests: usize,
    /// Changes of the list and what was asked for, in order.
    pub(crate) course: Vec<String>,
    /// Records that were there from the first request to the end.
    pub(crate) stayed: BTreeSet<u64>,
    /// The upstream looked like one that rounds numbers, or the pages were too short, so that they shared no records.
    pub(crate) gave_up_sharing: bool,
}

impl Outcome {
    /// Records that stayed and are missing.
    pub(crate) fn missing(&self) -> Vec<u64> {
        let ids: BTreeSet<_> = self.ids.iter().copied().collect();
        self.stayed.difference(&ids).copied().collect()
    }

    /// Records that came twice.
    pub(crate) fn doubled(&self) -> Vec<u64> {
        let mut counts = BTreeMap::new();
        self.ids.iter().for_each(|id| *counts.entry(*id).or_insert(0) += 1);
        counts.into_iter().filter(|(_, count)| *count > 1).map(|(id, _)| id).collect()
    }

    /// Checks that the verdict doesn't claim what isn't so.
    pub(crate) fn check_honesty(&self, world: &World) {
        let Ok(ProvenEnd { consistency: Consistency::Steady | Consistency::Mended { .. }, .. }) = &self.end else {
            return;
        };
        let (missing, doubled) = (self.missing(), self.doubled());
        assert!(
            missing.is_empty() && doubled.is_empty(),
            "{world:?}: {missing:?} missing, {doubled:?} doubled of {:?}: {:?}\n{}",
            self.ids,
            self.end,
            self.course.join("\n")
        );
    }
}

/// The upstream's list.
struct List {
    ids: Vec<u64>,
    /// All that were ever there, in their order.
    order: Vec<u64>,
    next: u64,
    left: usize,
    stayed: BTreeSet<u64>,
}

struct Answer {
    head: Arc<Head>,
    fields: PageFields,
    lines: Vec<String>,
}

struct Crawl<'a> {
    world: &'a World,
    pagination: &'a Arc<Pagination>,
    choices: &'a mut Choices,
    list: List,
    plan: Plan,
    asked: Vec<(PageId, Arc<PageRequest>)>,
    served: Vec<(PageId, Answer)>,
    notes: Vec<String>,
    kills: usize,
    ids: Vec<u64>,
    requests: usize,
    course: Vec<String>,
}

/// Crawls a world as the choices have it.
pub(crate) fn crawl(world: &World, pagination: &Arc<Pagination>, choices: &mut Choices) -> Outcome {
    let ids: Vec<u64> = (1..=world.records as u64).collect();
    let stayed = ids.iter().copied().collect();
    let mut crawl = Crawl {
        world,
        pagination,
        choices,
        list: List { next: 1_000_000, order: ids.clone(), ids, left: world.changes, stayed },
        plan: plan(pagination, world.width),
        asked: Vec::new(),
        served: Vec::new(),
        notes: Vec::new(),
        kills: world.kills,
        ids: Vec::new(),
        requests: 0,
        course: Vec::new(),
    };
    let end = crawl.run();
    let Crawl { ids, requests, course, list, plan, notes, .. } = crawl;
    let last = || notes.last().map(|note| serde_json::from_str(note).unwrap());
    let state: Value =
        plan.checkpoint().map(|state| serde_json::to_value(state).unwrap()).or_else(last).unwrap_or_default();
    let looseness = state.pointer("/junctions/drift/looseness").and_then(Value::as_str);
    let gave_up_sharing = match looseness {
        Some("Unaligned") => true,
        // Sizes may fit no place in a list.
        Some("Single") => pagination.style.counts_pages(),
        _ => false,
    };
    Outcome { ids, end, requests, course, stayed: list.stayed, gave_up_sharing }
}

pub(crate) fn plan(pagination: &Arc<Pagination>, width: usize) -> Plan {
    let guard = LinkGuard::new(&Url::parse(ORIGIN).unwrap(), &[]);
    let first = PageRequest::get(Url::parse(&format!("{ORIGIN}/list")).unwrap());
    Plan::new(Arc::clone(pagination), Caps::default(), guard, first, width, SystemTime::UNIX_EPOCH).unwrap()
}

/// Plan of another process, which resumes behind these notes and lines.
pub(crate) fn resumed(pagination: &Arc<Pagination>, width: usize, notes: &[String], lines: &[String]) -> Plan {
    let mut plan = plan(pagination, width);
    let noted = notes.iter().map(|note| serde_json::from_str::<Checkpoint>(note).unwrap());
    plan.resume(noted, lines.last().map(|line| line.clone().into_bytes())).unwrap();
    let lines = Batch::new(Bytes::from(lines.concat()), lines.len() as u64);
    plan.recall(&lines).unwrap();
    plan
}

/// Gives a page to the plan, its first record ahead of the others. Returns the lines that leave.
pub(crate) fn show(
    plan: &mut Plan,
    id: PageId,
    head: &Arc<Head>,
    fields: PageFields,
    lines: &[String],
) -> Result<Vec<String>, PageError> {
    let (first, rest) = lines.split_at(1.min(lines.len()));
    let [first, rest] = [first, rest].map(|lines| Batch::new(Bytes::from(lines.concat()), lines.len() as u64));
    let mut hash = LinesHash::default();
    hash.add(&first);
    hash.add(&rest);
    let mut released: Vec<Batch> = plan.accept(id, CurrentPageEvent::Begun(head))?.into_iter().collect();
    released.extend(plan.accept(id, CurrentPageEvent::Records(head, &fields, first))?);
    let sketch = Bytes::from_static(b"{}").into();
    let page = Page { batch: rest, fields, hash: hash.finish(), sketch, ..Page::default() };
    released.extend(plan.accept(id, CurrentPageEvent::Whole(head, page))?);
    Ok(released.iter().flat_map(Batch::each).map(|line| String::from_utf8(line.to_vec()).unwrap()).collect())
}

impl Crawl<'_> {
    fn run(&mut self) -> Result<ProvenEnd, PageError> {
        loop {
            match self.plan.step(Room::Open)? {
                Step::Fetch(page, request) => {
                    self.requests += 1;
                    self.asked.push((page, request));
                    continue;
                }
                Step::Emit(_) => continue,
                Step::Done(end) => return Ok(end),
                Step::Wait => {}
            }
            self.asked.retain(|(page, _)| self.plan.standing(*page) != PageStanding::Unwanted);
            self.served.retain(|(page, _)| self.plan.standing(*page) != PageStanding::Unwanted);
            match self.served.iter().position(|(page, _)| matches!(self.plan.standing(*page), PageStanding::Current(_)))
            {
                Some(at) => {
                    let (page, answer) = self.served.remove(at);
                    self.show(page, answer)?;
                }
                None => self.serve(),
            }
        }
    }

    /// The list may change, and one of the pages that were asked for is made.
    fn serve(&mut self) {
        let at = if self.asked.len() > 1 { self.choices.pick(self.asked.len()) } else { 0 };
        self.change();
        let (page, request) = self.asked.remove(at);
        let answer = self.answer(&request);
        let ends = (answer.lines.first(), answer.lines.last(), answer.lines.len());
        self.course.push(format!("{}: {ends:?}", request.url.query().unwrap_or("-")));
        if answer.head.status.is_success() {
            let records = answer.lines.len() as u64;
            self.plan.note(page, PageNews::SoFar(PageSoFar { head: &answer.head, fields: &answer.fields, records }));
            self.plan.note(page, PageNews::Whole { records });
        } else {
            self.plan.note(page, PageNews::Failed);
        }
        self.served.push((page, answer));
    }

    /// Changes the list, as often as the choices have it.
    fn change(&mut self) {
        if self.requests == 1 && self.served.is_empty() && self.ids.is_empty() && self.course.is_empty() {
            return;
        }
        while self.list.left > 0 {
            if matches!(self.choices, Choices::Random(_)) && self.choices.pick(self.world.rarity) > 0 {
                return;
            }
            let count = self.list.ids.len();
            if self.world.kind == ChangeKind::KnownDeletes {
                if !self.delete_known() {
                    return;
                }
                continue;
            }
            let moves = if self.world.kind == ChangeKind::Moves { count * count.saturating_sub(1) } else { 0 };
            let ways = 1 + (count + 1) + count + moves;
            let list = &mut self.list;
            match self.choices.pick(ways) {
                0 => return,
                way if way <= count + 1 => {
                    let behind = list.ids.get(way - 1).and_then(|id| list.order.iter().position(|known| known == id));
                    list.order.insert(behind.unwrap_or(list.order.len()), list.next);
                    list.ids.insert(way - 1, list.next);
                    list.next += 1;
                }
                way if way <= count + 1 + count => {
                    let gone = list.ids.remove(way - count - 2);
                    list.stayed.remove(&gone);
                }
                way => {
                    let way = way - 2 * count - 2;
                    let (from, to) = (way / (count - 1), way % (count - 1));
                    // The place where it was is none of the others.
                    let to = if to >= from { to + 1 } else { to };
                    let id = list.ids.remove(from);
                    list.ids.insert(to, id);
                    // Of those whose order changed, some may have passed into the part that was read, which no walk can see.
                    list.ids[from.min(to)..=from.max(to)].iter().for_each(|id| _ = list.stayed.remove(id));
                }
            }
            list.left -= 1;
            let count = list.ids.len();
            self.course.push(format!("now {count}: {:?}", &list.ids[..count.min(12)]));
        }
    }

    /// Deletes one of the newest records that came and are still there; returns false where the choice is none.
    fn delete_known(&mut self) -> bool {
        const NEWEST: usize = 40;
        let came = |id: &u64| self.ids.contains(id);
        let known: Vec<usize> = (0..self.list.ids.len()).filter(|at| came(&self.list.ids[*at])).collect();
        let known = &known[known.len().saturating_sub(NEWEST)..];
        let Some(way) = self.choices.pick(1 + known.len()).checked_sub(1) else { return false };
        let gone = self.list.ids.remove(known[way]);
        self.list.stayed.remove(&gone);
        self.list.left -= 1;
        self.course.push(format!("{gone} is gone"));
        true
    }

    fn answer(&self, request: &PageRequest) -> Answer {
        let number = |name| query_value(&request.url, name).map(|text| text.parse::<usize>().unwrap());
        let size = number("limit").unwrap_or(self.world.page).min(self.world.page);
        let ids = &self.list.ids;
        let behind = KEY_PARAMS.iter().find_map(|param| Some((*param, number(param)? as u64)));
        let mut status = StatusCode::OK;
        let from = match (number("offset"), number("page"), behind) {
            (Some(offset), ..) => offset,
            (None, Some(page), _) => (page - 1) * size,
            (None, None, Some((COMPARED, key))) => {
                let before: Vec<_> =
                    self.list.order.split_inclusive(|id| *id == key).next().unwrap_or_default().to_vec();
                ids.iter().position(|id| !before.contains(id)).unwrap_or(ids.len())
            }
            (None, None, Some((param, key))) => match (ids.iter().position(|id| *id == key), param) {
                (Some(at), _) => at + 1,
                (None, OR_FIRST) => 0,
                (None, OR_NOT_FOUND) => {
                    status = StatusCode::NOT_FOUND;
                    ids.len()
                }
                (None, _) => ids.len(),
            },
            (None, None, None) => 0,
        };
        let window = ids.get(from..ids.len().min(from + size)).unwrap_or_default();
        let mut fields = PageFields::default();
        if self.world.with_total {
            fields.push("total".parse::<Path>().unwrap(), json!(ids.len()));
        }
        let head = Head { status, headers: HeaderMap::new(), url: request.url.clone() };
        let lines = window.iter().map(|id| format!("{{\"id\":{id}}}\n")).collect();
        Answer { head: Arc::new(head), fields, lines }
    }

    /// Shows the plan a current page: its first record alone, and the rest with its end.
    fn show(&mut self, id: PageId, answer: Answer) -> Result<(), PageError> {
        let Answer { head, fields, lines } = answer;
        if !head.status.is_success() {
            return self.plan.accept(id, CurrentPageEvent::Refused(&head, b"", Overload::No)).map(|_| ());
        }
        for line in show(&mut self.plan, id, &head, fields, &lines)? {
            self.ids.push(line.trim_start_matches("{\"id\":").trim_end_matches("}\n").parse().unwrap());
        }
        self.notes.push(serde_json::to_string(&self.plan.checkpoint().unwrap()).unwrap());
        if self.kills > 0 && self.choices.pick(2) == 1 {
            self.kill();
        }
        Ok(())
    }

    /// Kills the process behind a page; another one resumes.
    fn kill(&mut self) {
        self.kills -= 1;
        self.course.push("killed".to_owned());
        self.asked.clear();
        self.served.clear();
        let lines: Vec<String> = self.ids.iter().map(|id| format!("{{\"id\":{id}}}\n")).collect();
        self.plan = resumed(self.pagination, self.world.width, &self.notes, &lines);
        let again = serde_json::to_string(&self.plan.checkpoint().unwrap()).unwrap();
        assert_eq!(Some(&again), self.notes.last());
        // What is recalled a second time is known.
        self.plan.recall(&Batch::new(Bytes::from(lines.concat()), lines.len() as u64)).unwrap();
    }
}
