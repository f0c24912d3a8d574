//! The targets of a walk: the paths of records and fields, joined where they start alike.

use serde_json::value::RawValue;

use crate::pagination::json_extract::{extract, parse};
use crate::pagination::path::Segment;
use crate::pagination::{Encoding, PageError, Path, Records};

/// The root of a [`TargetTree`].
pub(super) const ROOT: TargetId = TargetId(0);

/// A node of a [`TargetTree`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TargetId(usize);

#[derive(Clone, Debug)]
pub(super) struct TargetTree {
    nodes: Vec<TargetNode>,
    pub(super) fields: Vec<Path>,
    /// Members in which upstreams report failures.
    pub(super) errors: Vec<Path>,
    pub(super) records: Records,
}

#[derive(Clone, Debug, Default)]
struct TargetNode {
    below: Vec<(Segment, TargetId)>,
    role: TargetRole,
}

/// Use of the value at a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum TargetRole {
    /// Only nodes below it are used.
    #[default]
    Passage,
    /// The value is captured, perhaps for fields inside it.
    Field,
    /// The value contains the records, by the path of this rank.
    Holder(usize),
    /// The records are at the inner path in each element, by the path of this rank.
    Wrapper(usize),
    /// An array inside an element of a wrapper, which is a wrapper itself.
    InnerWrapper,
    /// A record, or an array of records, inside an element of a wrapper.
    Inner,
}

impl TargetTree {
    /// The tree of these fields and records. Fields must satisfy [`Self::can_walk`].
    pub(super) fn new(fields: Vec<Path>, records: &Records) -> Self {
        let errors = ["errors", "error"].map(|name| Path::new(vec![Segment::Name(name.to_owned())]));
        let errors = errors.into_iter().filter(|path| Self::can_walk(path, records)).collect();
        let mut tree = Self { nodes: vec![TargetNode::default()], fields, errors, records: records.clone() };
        for (rank, path) in records.paths.iter().enumerate() {
            let (holder, mut inner) = path.split_at_each();
            let mut node = tree.add(ROOT, holder.segments());
            tree.nodes[node.0].role = TargetRole::Holder(rank);
            let mut wrapper = TargetRole::Wrapper(rank);
            while let Some(within) = inner.filter(|inner| !inner.is_root()) {
                tree.nodes[node.0].role = wrapper;
                let element = tree.add(node, &[Segment::Each]);
                let (place, rest) = within.split_at_each();
                node = tree.add(element, place.segments());
                tree.nodes[node.0].role = TargetRole::Inner;
                (wrapper, inner) = (TargetRole::InnerWrapper, rest);
            }
        }
        for field in tree.fields.clone().iter().chain(&tree.errors.clone()) {
            let node = tree.add(ROOT, field.segments());
            tree.nodes[node.0].role = TargetRole::Field;
        }
        tree
    }

    /// Tree of the encoded text at the path of this rank.
    pub(super) fn encoded(&self, rank: usize) -> Self {
        let inner = self.records.paths.get(rank).and_then(|path| path.split_at_each().1);
        let mut segments = vec![Segment::Each];
        segments.extend(inner.into_iter().flat_map(|inner| inner.segments().to_vec()));
        let path = Path::new(segments);
        Self::new(Vec::new(), &Records { paths: vec![path], encoding: Encoding::None, ..self.records.clone() })
    }

    /// Returns whether a field can be captured while the records are read: it neither contains them nor is inside of them, and counts
    /// from no array's end.
    pub(super) fn can_walk(field: &Path, records: &Records) -> bool {
        let starts = |long: &Path, short: &Path| long.segments().starts_with(short.segments());
        let holders = records.paths.iter().map(|path| path.split_at_each().0);
        !counts_from_end(field) && holders.into_iter().all(|holder| !starts(field, &holder) && !starts(&holder, field))
    }

    pub(super) fn role(&self, node: Option<TargetId>) -> TargetRole {
        node.map_or(TargetRole::Passage, |node| self.nodes[node.0].role)
    }

    /// Returns whether the node has nodes below it.
    pub(super) fn leads_on(&self, node: Option<TargetId>) -> bool {
        node.is_some_and(|node| !self.nodes[node.0].below.is_empty())
    }

    pub(super) fn member(&self, node: Option<TargetId>, name: &str) -> Option<TargetId> {
        self.below(node?, |segment| matches!(segment, Segment::Name(wanted) if wanted == name))
    }

    pub(super) fn element(&self, node: Option<TargetId>, index: usize) -> Option<TargetId> {
        self.below(node?, |segment| *segment == Segment::Index(index))
    }

    /// Node of each element of a wrapper.
    pub(super) fn each(&self, node: Option<TargetId>) -> Option<TargetId> {
        self.below(node?, |segment| *segment == Segment::Each)
    }

    /// Path of the record inside each element of the records' array; the root if it is the element itself.
    pub(super) fn inner_path(&self) -> Path {
        self.records.paths.iter().find_map(|path| path.split_at_each().1).unwrap_or_default()
    }

    pub(super) fn path(&self, node: TargetId) -> Path {
        let mut segments = Vec::new();
        let mut at = node;
        while at != ROOT {
            let Some((parent, segment)) = self.parent(at) else { break };
            segments.push(segment.clone());
            at = parent;
        }
        segments.reverse();
        Path::new(segments)
    }

    fn parent(&self, node: TargetId) -> Option<(TargetId, &Segment)> {
        let mut all =
            self.nodes.iter().enumerate().flat_map(|(at, place)| place.below.iter().map(move |edge| (at, edge)));
        all.find_map(|(at, (segment, below))| (*below == node).then_some((TargetId(at), segment)))
    }

    fn below(&self, node: TargetId, is_wanted: impl Fn(&Segment) -> bool) -> Option<TargetId> {
        self.nodes[node.0].below.iter().find(|(segment, _)| is_wanted(segment)).map(|(_, node)| *node)
    }

    fn add(&mut self, from: TargetId, segments: &[Segment]) -> TargetId {
        segments.iter().fold(from, |node, segment| match self.below(node, |known| known == segment) {
            Some(known) => known,
            None => {
                let new = TargetId(self.nodes.len());
                self.nodes.push(TargetNode::default());
                self.nodes[node.0].below.push((segment.clone(), new));
                new
            }
        })
    }
}

/// Returns whether a path can be resolved only when the arrays on its way are whole.
pub(super) fn counts_from_end(path: &Path) -> bool {
    path.segments().iter().any(|segment| matches!(segment, Segment::FromEnd(_)))
}

/// The path in which each index counts from its array's start.
pub(super) fn from_start(path: &Path, text: &str) -> Result<Path, PageError> {
    let mut segments: Vec<Segment> = Vec::new();
    for segment in path.segments() {
        segments.push(match segment {
            Segment::FromEnd(back) => {
                let array = Path::new(segments.clone());
                let elements = match extract(text, &[&array])?[0] {
                    Some(raw) if raw.get().starts_with('[') => parse::<Vec<&RawValue>>(raw.get())?.len(),
                    _ => 0,
                };
                Segment::Index(elements.checked_sub(*back).unwrap_or(usize::MAX))
            }
            other => other.clone(),
        });
    }
    Ok(Path::new(segments))
}
