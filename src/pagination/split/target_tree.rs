//! The wanted nodes of a page, joined where their paths start alike.

use crate::pagination::path::Segment;
use crate::pagination::{Encoding, Path, Records};

/// The root of a [`TargetTree`].
pub(super) const ROOT: TargetId = TargetId(0);

/// A place on the way to something wanted, or that itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TargetId(usize);

#[derive(Clone, Debug)]
pub(super) struct TargetTree {
    nodes: Vec<TargetNode>,
    pub(super) fields: Vec<Path>,
    /// Where upstreams say that they failed.
    pub(super) errors: Vec<Path>,
    pub(super) records: Records,
}

#[derive(Clone, Debug, Default)]
struct TargetNode {
    below: Vec<(Segment, TargetId)>,
    role: TargetRole,
}

/// What is wanted of a place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum TargetRole {
    /// Perhaps something inside it.
    #[default]
    Passage,
    /// Its value, and perhaps values inside it.
    Field,
    /// The records in it, as the path of this rank says.
    Holder(usize),
    /// What stands at the inner path in each of its elements.
    Wrapper(usize),
    /// A record, or an array of them, inside an element of a wrapper.
    Inner,
}

impl TargetTree {
    /// The tree of these fields and records. Fields that hold records or stand in them, and records that are counted from an
    /// array's end, have no place in it.
    pub(super) fn new(fields: Vec<Path>, records: &Records) -> Self {
        let errors = ["errors", "error"].map(|name| Path::of(vec![Segment::Name(name.to_owned())]));
        let errors = errors.into_iter().filter(|path| Self::can_walk(path, records)).collect();
        let mut tree = Self { nodes: vec![TargetNode::default()], fields, errors, records: records.clone() };
        for (rank, path) in records.paths.iter().enumerate() {
            let (holder, inner) = path.split_at_each();
            let holder = tree.add(ROOT, holder.segments());
            match inner.filter(|inner| !inner.is_root()) {
                Some(inner) => {
                    tree.nodes[holder.0].role = TargetRole::Wrapper(rank);
                    let element = tree.add(holder, &[Segment::Each]);
                    let inner = tree.add(element, inner.segments());
                    tree.nodes[inner.0].role = TargetRole::Inner;
                }
                None => tree.nodes[holder.0].role = TargetRole::Holder(rank),
            }
        }
        for field in tree.fields.clone().iter().chain(&tree.errors.clone()) {
            let node = tree.add(ROOT, field.segments());
            tree.nodes[node.0].role = TargetRole::Field;
        }
        tree
    }

    /// The tree of the text that is encoded at the path of this rank.
    pub(super) fn encoded(&self, rank: usize) -> Self {
        let inner = self.records.paths.get(rank).and_then(|path| path.split_at_each().1);
        let mut segments = vec![Segment::Each];
        segments.extend(inner.into_iter().flat_map(|inner| inner.segments().to_vec()));
        let path = Path::of(segments);
        Self::new(Vec::new(), &Records { paths: vec![path], encoding: Encoding::None, ..self.records.clone() })
    }

    /// Whether a path can be walked beside the records: neither holds them nor stands in them, and is not counted from an end.
    pub(super) fn can_walk(field: &Path, records: &Records) -> bool {
        let starts = |long: &Path, short: &Path| long.segments().starts_with(short.segments());
        let holders = records.paths.iter().map(|path| path.split_at_each().0);
        !counts_from_end(field) && holders.into_iter().all(|holder| !starts(field, &holder) && !starts(&holder, field))
    }

    pub(super) fn role(&self, node: Option<TargetId>) -> TargetRole {
        node.map_or(TargetRole::Passage, |node| self.nodes[node.0].role)
    }

    /// Whether anything is wanted inside this place.
    pub(super) fn leads_on(&self, node: Option<TargetId>) -> bool {
        node.is_some_and(|node| !self.nodes[node.0].below.is_empty())
    }

    /// The member of this name.
    pub(super) fn member(&self, node: Option<TargetId>, name: &str) -> Option<TargetId> {
        self.below(node?, |segment| matches!(segment, Segment::Name(wanted) if wanted == name))
    }

    /// The element at this index.
    pub(super) fn element(&self, node: Option<TargetId>, index: usize) -> Option<TargetId> {
        self.below(node?, |segment| *segment == Segment::Index(index))
    }

    /// Each element of a wrapper.
    pub(super) fn each(&self, node: Option<TargetId>) -> Option<TargetId> {
        self.below(node?, |segment| *segment == Segment::Each)
    }

    /// Path of the record inside each element of the records' array; the root if it is the element itself.
    pub(super) fn inner_path(&self) -> Path {
        self.records.paths.iter().find_map(|path| path.split_at_each().1).unwrap_or_default()
    }

    /// The path of a node.
    pub(super) fn path(&self, node: TargetId) -> Path {
        let mut segments = Vec::new();
        let mut at = node;
        while at != ROOT {
            let Some((parent, segment)) = self.parent(at) else { break };
            segments.push(segment.clone());
            at = parent;
        }
        segments.reverse();
        Path::of(segments)
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

/// Whether a path can only be walked when the arrays on its way are whole.
pub(super) fn counts_from_end(path: &Path) -> bool {
    path.segments().iter().any(|segment| matches!(segment, Segment::FromEnd(_)))
}
