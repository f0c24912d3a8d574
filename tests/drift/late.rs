//! Lists that are sorted by time, in which records appear late: each within the time to settle.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, StatusCode, header};
use proptest::prelude::*;
use unpage::pagination::page::{Head, PageFields};
use unpage::pagination::plan::{PageId, Plan, Room, Step};
use unpage::pagination::request::{PageRequest, query_value};
use unpage::pagination::verdict::ProvenEnd;
use unpage::pagination::{ConsistencyLevel, Encode, KeyUse, Keyset, Overlap, PageError, PageSize, Pagination, Records};

use crate::exhaustive::query;
use crate::random::courses;
use crate::world::{Choices, plan, resumed, show};

/// Milliseconds since 1970 at which the list begins.
const START: u64 = 1_767_323_045_123;

const SETTLE: u64 = 2_000;

/// Record of the list, which appears at a later moment than its own.
#[derive(Clone, Copy, Debug)]
struct LateRecord {
    time: u64,
    id: u64,
    appears: u64,
}

struct LateList<'a> {
    records: Vec<LateRecord>,
    now: u64,
    page: usize,
    choices: &'a mut Choices,
    pagination: Arc<Pagination>,
    plan: Plan,
    kills: usize,
    notes: Vec<String>,
    lines: Vec<String>,
    course: Vec<String>,
}

fn by_time(page: usize, usage: KeyUse, level: ConsistencyLevel) -> Arc<Pagination> {
    let key = ["at", "id"].map(|path| path.parse().unwrap()).to_vec();
    let style = Keyset { key, param: query("after"), encode: Encode::Json, overlap: Overlap::None, usage };
    let mut pagination = Pagination::of(style.into(), Records::at("data".parse().unwrap()));
    pagination.key = Some("id".parse().unwrap());
    pagination.page_size = Some(PageSize { param: Some(query("limit")), value: Some(page as u64), max: None });
    pagination.consistency = Some(level);
    pagination.settle = Some(Duration::from_millis(SETTLE));
    Arc::new(pagination)
}

impl LateList<'_> {
    fn run(&mut self) -> Result<ProvenEnd, PageError> {
        loop {
            match self.plan.step(Room::Open)? {
                Step::Fetch(page, request) => {
                    let wait = self.plan.traits_of(page).wait;
                    self.now += u64::try_from(wait.as_millis()).unwrap();
                    self.answer(page, &request)?;
                }
                Step::Emit(_) => {}
                Step::Done(end) => return Ok(end),
                Step::Wait => panic!("nothing is asked for"),
            }
        }
    }

    fn answer(&mut self, id: PageId, request: &PageRequest) -> Result<(), PageError> {
        self.now += self.choices.pick(1_500) as u64;
        let after = query_value(&request.url, "after");
        let after = after.map_or((0, 0), |text| serde_json::from_str::<(u64, u64)>(&text).unwrap());
        let is_there = |record: &&LateRecord| record.appears <= self.now && (record.time, record.id) > after;
        let records: Vec<_> = self.records.iter().filter(is_there).take(self.page).copied().collect();
        let mut headers = HeaderMap::new();
        let date = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_millis(self.now));
        headers.insert(header::DATE, HeaderValue::try_from(date).unwrap());
        let head = Arc::new(Head { status: StatusCode::OK, headers, url: request.url.clone() });
        self.course.push(format!("{} {after:?}: {records:?}", self.now));
        let line = |LateRecord { time, id, .. }: &LateRecord| format!("{{\"at\":{time},\"id\":{id}}}\n");
        let lines: Vec<String> = records.iter().map(line).collect();
        self.lines.extend(show(&mut self.plan, id, &head, PageFields::default(), &lines)?);
        self.notes.push(serde_json::to_string(&self.plan.checkpoint().unwrap()).unwrap());
        if self.kills > 0 && self.choices.pick(3) == 0 {
            self.kill();
        }
        Ok(())
    }

    fn kill(&mut self) {
        self.kills -= 1;
        self.course.push("killed".to_owned());
        self.plan = resumed(&self.pagination, 1, &self.notes, &self.lines);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3 * courses(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_list_that_has_settled_has_all_records_up_to_its_time(
        count in 0..120_u64,
        spread in 1..20_000_u64,
        opens in 0..20_000_u64,
        page in 2..20_usize,
        compares in any::<bool>(),
        repairs in any::<bool>(),
        kills in 0..3_usize,
        seed in 1..u64::MAX,
    ) {
        let mut choices = Choices::Random(seed);
        let mut records: Vec<_> = (1..=count)
            .map(|id| {
                let time = START + choices.pick(spread as usize) as u64;
                LateRecord { time, id, appears: time + choices.pick(SETTLE as usize) as u64 }
            })
            .collect();
        records.sort_by_key(|record| (record.time, record.id));
        let usage = if compares { KeyUse::Compared } else { KeyUse::Unknown };
        let level = if repairs { ConsistencyLevel::Repair } else { ConsistencyLevel::Detect };
        let pagination = by_time(page, usage, level);
        let mut list = LateList {
            now: START + opens,
            page,
            choices: &mut choices,
            plan: plan(&pagination, 1),
            pagination,
            kills,
            notes: Vec::new(),
            lines: Vec::new(),
            course: Vec::new(),
            records,
        };
        let end = list.run();
        let course = list.course.join("\n");
        let end = end.map_err(|error| TestCaseError::fail(format!("{error}\n{course}")))?;
        let ids: Vec<u64> = list
            .lines
            .iter()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].as_u64().unwrap())
            .collect();
        let known: BTreeSet<_> = ids.iter().copied().collect();
        prop_assert_eq!(known.len(), ids.len(), "doubles: {:?}\n{}", ids, course);
        let Some(until) = end.settled else {
            prop_assert!(ids.is_empty(), "{}", course);
            return Ok(());
        };
        let until = until.as_millisecond() as u64;
        let missing: Vec<_> =
            list.records.iter().filter(|record| record.time <= until && !known.contains(&record.id)).collect();
        prop_assert!(missing.is_empty(), "{} missing up to {}: {:?}\n{}", missing.len(), until, missing, course);
    }
}
