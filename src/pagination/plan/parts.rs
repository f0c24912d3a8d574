//! Parts of a collection in the order of the collection: those that are crawled, those that wait, and those that are over.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::digest_map::DigestMap;
use super::double_counts::Doubles;
use super::double_filter::DoubleFilter;
use super::events::PartId;
use super::part::{CollectionPart, Emission};
use super::partition::Cut;
use super::range_splitter::RangeSplitter;
use super::shared_key_set::CrawlKeys;
use super::walk::Walk;
use crate::caps::Caps;
use crate::pagination::error::PageError;
use crate::pagination::link_guard::LinkGuard;
use crate::pagination::partition_settings::PartOrder;
use crate::pagination::proof::Proof;
use crate::pagination::request::PageRequest;
use crate::pagination::settings::{ConsistencyLevel, Pagination};
use crate::pagination::since_valid_at::VersionSource;
use crate::pagination::verdict::{Consistency, Doubt, ProvenEnd};

#[derive(Debug)]
pub(super) struct Parts {
    pagination: Arc<Pagination>,
    caps: Caps,
    guard: LinkGuard,
    /// Begun and not retired, in the order of the collection.
    pub(super) list: Vec<CollectionPart>,
    queued: VecDeque<PageRequest>,
    pub(super) splitter: Option<RangeSplitter>,
    /// Hash of a part's first record → the part, in a list of parts.
    openings: DigestMap<PartId>,
    keys: CrawlKeys,
    /// Names of the columns of CSV pages.
    columns: Arc<OnceLock<Value>>,
    begun: u64,
    retired: RetiredParts,
}

/// Summary of the parts that are over and have left.
#[derive(Debug, Default)]
struct RetiredParts {
    parts: u64,
    pages: u64,
    /// Of the last of them.
    ending: Option<ProvenEnd>,
    doubles: Doubles,
    cuts: Vec<Cut>,
}

impl Parts {
    pub(super) fn new(
        pagination: Arc<Pagination>,
        caps: Caps,
        guard: LinkGuard,
        queued: VecDeque<PageRequest>,
        splitter: Option<RangeSplitter>,
        width: usize,
    ) -> Result<Self, PageError> {
        let mut parts = Self {
            pagination,
            caps,
            guard,
            list: Vec::new(),
            queued,
            splitter,
            openings: DigestMap::default(),
            keys: CrawlKeys::default(),
            columns: Arc::default(),
            begun: 0,
            retired: RetiredParts::default(),
        };
        match parts.splitter.as_ref().map(RangeSplitter::whole) {
            Some(cut) => parts.begin_cut(0, cut, width)?,
            None => drop(parts.begin_queued(width)?),
        }
        Ok(parts)
    }

    /// The only part, where the collection is not cut into parts.
    pub(super) fn only(&self) -> Option<&CollectionPart> {
        self.list.first().filter(|_| self.pagination.partition.is_none())
    }

    pub(super) fn only_mut(&mut self) -> Option<&mut CollectionPart> {
        self.list.first_mut().filter(|_| self.pagination.partition.is_none())
    }

    pub(super) fn keys(&self) -> &CrawlKeys {
        &self.keys
    }

    /// Returns true if there is or was more than one part.
    pub(super) fn are_several(&self) -> bool {
        self.begun > 1
    }

    pub(super) fn pages(&self) -> u64 {
        self.retired.pages + self.list.iter().map(|part| part.walk.pages()).sum::<u64>()
    }

    pub(super) fn in_flight(&self) -> usize {
        let probes = usize::from(self.splitter.as_ref().is_some_and(RangeSplitter::is_probing));
        self.list.iter().map(CollectionPart::in_flight).sum::<usize>() + probes
    }

    /// Begins the next part that waits; returns false if there is none.
    pub(super) fn begin_queued(&mut self, width: usize) -> Result<bool, PageError> {
        let Some(first) = self.queued.pop_front() else { return Ok(false) };
        self.begin(self.list.len(), Arc::clone(&self.pagination), first, None, width)?;
        Ok(true)
    }

    /// Begins a part of the range, at this index.
    pub(super) fn begin_cut(&mut self, at: usize, cut: Cut, width: usize) -> Result<(), PageError> {
        let Some(splitter) = &self.splitter else { return Ok(()) };
        // Totals in a part's pages may be the part's or the collection's: only the first one's are sure to be the latter.
        let pagination = if self.begun == 0 { &self.pagination } else { splitter.of_parts() };
        let (pagination, first) = (Arc::clone(pagination), splitter.request(&cut)?);
        self.begin(at, pagination, first, Some(cut), width)
    }

    /// Begins a part behind one whose walk would reach a limit of the upstream's.
    pub(super) fn cut_before_limits(&mut self, width: usize) -> Result<(), PageError> {
        if self.splitter.is_none() {
            return Ok(());
        }
        let mut parts = self.list.iter_mut().enumerate();
        let cut = parts.find_map(|(at, part)| Some((at, part.cut_before_limit()?)));
        cut.map_or(Ok(()), |(owner, cut)| self.begin_cut(owner + 1, cut, width))
    }

    fn begin(
        &mut self,
        at: usize,
        pagination: Arc<Pagination>,
        first: PageRequest,
        cut: Option<Cut>,
        width: usize,
    ) -> Result<(), PageError> {
        let mut walk = Walk::new(pagination, self.caps.clone(), self.guard.clone(), first)?;
        walk.release.share_keys(&self.keys);
        walk.pinned.share_columns(&self.columns);
        self.list.insert(at, CollectionPart::new(PartId(self.begun), walk, cut, width));
        self.begun += 1;
        Ok(())
    }

    /// Removes the parts that are over and have left, if they meet those that follow them.
    pub(super) fn retire(&mut self) -> Result<(), PageError> {
        while let Some(first) = self.list.first().filter(|part| part.is_over() && part.emission == Emission::Told) {
            if let Some(cut) = &first.cut {
                self.retired.cuts.iter().try_for_each(|before| before.meets(cut))?;
            }
            let part = self.list.remove(0);
            self.retired.parts += 1;
            self.retired.pages += part.walk.pages();
            self.retired.ending = part.walk.ending();
            self.retired
                .doubles
                .add(part.double_filter.as_ref().map_or(part.walk.progress.doubles(), DoubleFilter::total));
            if let Some(splitter) = &mut self.splitter {
                splitter.retired(&part);
            }
            self.retired.cuts.extend(part.cut);
        }
        Ok(())
    }

    /// Lets the next part leave, if one may: the first, or any.
    pub(super) fn emit(&mut self) -> Option<PartId> {
        let most = if self.pagination.order == PartOrder::Any { usize::MAX } else { 1 };
        let part = self.list.iter_mut().take(most).find(|part| part.emission == Emission::NotYet)?;
        part.emission = Emission::Told;
        Some(part.id)
    }

    /// Proof that all parts together are the collection.
    pub(super) fn ending(&self) -> Result<ProvenEnd, PageError> {
        let end = self.proven()?;
        match &end.consistency {
            Consistency::Unverified { why } if self.pagination.consistency == Some(ConsistencyLevel::Upstream) => {
                Err(PageError::NoState(why.clone()))
            }
            _ => Ok(end),
        }
    }

    fn proven(&self) -> Result<ProvenEnd, PageError> {
        match (self.retired.parts, &self.retired.ending) {
            (1, Some(ending)) if self.splitter.is_none() => Ok(self.with_doubles(ending.clone())),
            // What the upstream leaves out of every range is not seen.
            (1, Some(ending)) => {
                let consistency = self.consistency(Some(ending));
                Ok(self.with_doubles(ProvenEnd { consistency, ..ending.clone() }))
            }
            (parts, last) => {
                self.splitter.as_ref().map_or(Ok(()), RangeSplitter::check_total)?;
                Ok(self.with_doubles(ProvenEnd {
                    proof: Proof::Parts(parts),
                    agreeing: Vec::new(),
                    consistency: self.consistency(last.as_ref()),
                    doubles: 0,
                    late: 0,
                    settled: None,
                }))
            }
        }
    }

    fn with_doubles(&self, end: ProvenEnd) -> ProvenEnd {
        let doubles = self.retired.doubles;
        let consistency = doubles.refuted().unwrap_or(end.consistency);
        let consistency = match self.keys.forgotten() {
            // One page is of one moment, whatever it repeats.
            _ if self.pages() <= 1 => consistency,
            0 => consistency,
            keys => consistency.doubted(format!(
                "{keys} keys were forgotten for want of room (caps.spool), so that doubles of their records were not looked for"
            )),
        };
        ProvenEnd { doubles: doubles.dropped, consistency, ..end }
    }

    /// Consistency of several parts: one state, where the crawl itself names it in all of them.
    fn consistency(&self, last: Option<&ProvenEnd>) -> Consistency {
        let valid_at = self.pagination.valid_at.as_ref();
        let is_shared = valid_at.is_some_and(|valid_at| !matches!(valid_at.from, VersionSource::Page(_)));
        match last.map(|last| &last.consistency) {
            Some(upstream @ Consistency::Upstream { .. }) if is_shared => upstream.clone(),
            _ => Doubt::Parts.into(),
        }
    }

    pub(super) fn check(&mut self, id: PartId) -> Result<(), PageError> {
        self.check_order(id)?;
        let is_over = self.queued.is_empty() && self.list.iter().all(CollectionPart::is_over);
        if self.pages() >= self.caps.pages && !is_over {
            return Err(PageError::Limit { name: "caps.pages", value: self.caps.pages });
        }
        Ok(())
    }

    /// Refuses two parts of a list that start alike: the upstream ignores the parameter that tells them apart.
    pub(super) fn check_twin(&mut self, id: PartId) -> Result<(), PageError> {
        let opening = self.list.iter().find(|part| part.id == id).and_then(|part| {
            let page = part.walk.release.page();
            part.walk.progress.opening().or((page.records() > 0).then(|| page.start()))
        });
        // Parts of a range overlap where they meet.
        let Some(opening) = opening.filter(|_| self.splitter.is_none()) else { return Ok(()) };
        match *self.openings.entry(opening).or_insert(id) {
            twin if twin == id => Ok(()),
            twin => Err(PageError::PartsAlike { part: id.0 + 1, twin: twin.0 + 1 }),
        }
    }

    /// Refuses the end of a part in front of its bound, where a later part has records.
    fn check_order(&self, id: PartId) -> Result<(), PageError> {
        let parts = self.list.iter().skip_while(|part| part.id != id);
        let mut parts = parts.filter_map(|part| Some((part, part.cut.as_ref()?)));
        match parts.next() {
            Some((part, cut))
                if part.walk.proof().is_some() && !cut.is_over() && parts.any(|(_, later)| later.has_read()) =>
            {
                Err(cut.ended_too_early())
            }
            _ => Ok(()),
        }
    }
}
