//! Columns of a table: records flattened to leaves with paths, and the columns that a sample of records has.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use memchr::{memchr, memrchr};

use super::column_names::{MAX_COLUMNS, MORE};
use super::json_members::{Members, skip_space, value_end};

/// Number of bytes of the log whose records decide the columns.
const SAMPLE: usize = 256 * 1024;

/// Name of the last column of a table that would have only one: pyarrow takes a row that is cut after its opening quote for an empty cell,
/// unless other cells are missing.
const GUARD: &str = "_";

/// Path of a record that is no object.
const VALUE: &[u8] = b"value";

/// Separator of the names in a path; no byte of UTF-8, so that no name contains it.
const SEPARATOR: u8 = 0xff;

#[derive(Debug)]
pub(super) struct Columns {
    /// Names in the header, without the last column.
    pub(super) names: Vec<String>,
    pub(super) last: LastColumn,
    paths: Vec<Vec<u8>>,
    places: HashMap<Vec<u8>, usize>,
    pub(super) origin: ColumnsOrigin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColumnsOrigin {
    /// Named by the user: an object may have a column of its own.
    User,
    /// Found in a sample.
    Sample,
}

/// Column after those with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LastColumn {
    /// [`MORE`]: the values that have no other column.
    More,
    /// [`GUARD`]: always empty.
    Guard,
    /// None: values without a column are left out by intent.
    Absent,
}

/// Kind of a value in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// A value that is no object, or an empty object.
    Leaf,
    /// An object with members, which follow.
    Object,
}

impl LastColumn {
    pub(super) fn name(self) -> Option<&'static str> {
        match self {
            Self::More => Some(MORE),
            Self::Guard => Some(GUARD),
            Self::Absent => None,
        }
    }
}

impl Columns {
    /// Makes the columns that a user names, each by its dotted path.
    pub(super) fn named(names: &[String]) -> Self {
        let (names, last) = match names {
            [names @ .., last] if last == MORE => (names, LastColumn::More),
            [_] => (names, LastColumn::Guard),
            names => (names, LastColumn::Absent),
        };
        // `_more` alone: a table has two columns.
        let names = if names.is_empty() { vec!["value".to_owned()] } else { names.to_vec() };
        let paths = names.iter().map(|name| name.clone().into_bytes()).collect();
        Self::new(names, last, paths, ColumnsOrigin::User)
    }

    /// Discovers the columns of these lines, in the order in which they are first seen.
    ///
    /// # Errors
    /// Fails with the number of a line that is no JSON.
    pub(super) fn discover(lines: &[u8]) -> Result<Self, u64> {
        let (mut path, mut paths, mut known) = (Vec::new(), Vec::new(), HashSet::<Vec<u8>>::new());
        for (number, line) in (0_u64..).zip(lines.split_inclusive(|byte| *byte == b'\n')) {
            let each = &mut |path: &[u8], _, _| {
                if paths.len() < MAX_COLUMNS && !known.contains(path) {
                    known.insert(path.to_vec());
                    paths.push(path.to_vec());
                }
            };
            flatten(line, &mut path, ColumnsOrigin::Sample, each).ok_or(number)?;
        }
        if paths.is_empty() {
            paths.push(VALUE.to_vec());
        }
        let mut taken = HashSet::from([MORE.to_owned()]);
        let names = paths.iter().map(|path| {
            let mut name = dotted(path);
            if !taken.insert(name.clone()) {
                name = pointer(path);
                // A member may have the pointer of another for its name.
                while !taken.insert(name.clone()) {
                    name.insert(0, '/');
                }
            }
            name
        });
        let names = names.collect();
        Ok(Self::new(names, LastColumn::More, paths, ColumnsOrigin::Sample))
    }

    fn new(names: Vec<String>, last: LastColumn, paths: Vec<Vec<u8>>, origin: ColumnsOrigin) -> Self {
        let places = paths.iter().cloned().zip(0..).collect();
        Self { names, last, paths, places, origin }
    }

    /// Returns the column of a path. Most records have their members in one order: `next` is tried first.
    pub(super) fn find(&self, path: &[u8], next: usize) -> Option<usize> {
        if self.paths.get(next).is_some_and(|known| known == path) {
            return Some(next);
        }
        self.places.get(path).copied()
    }
}

/// Returns the end of the sample: of the last line that ends within it, or of a longer first line; none while more bytes decide it.
pub(super) fn sample(lines: &[u8]) -> Option<usize> {
    let within = lines.get(..SAMPLE)?;
    memrchr(b'\n', within).or_else(|| memchr(b'\n', lines)).map(|end| end + 1)
}

/// Calls `each` with the path, the place and the kind of every leaf of a record. For columns that a user names, every object has its turn, too,
/// before its members. `path` is a buffer. Returns none where the record is no JSON.
pub(super) fn flatten(
    record: &[u8],
    path: &mut Vec<u8>,
    origin: ColumnsOrigin,
    each: &mut impl FnMut(&[u8], Range<usize>, Node),
) -> Option<()> {
    path.clear();
    let start = skip_space(record, 0);
    if record.get(start) == Some(&b'{') {
        return walk(record, start, path, PathDepth::Record, origin, each).map(|_| ());
    }
    let end = value_end(record, start);
    (start < end).then(|| each(VALUE, start..end, Node::Leaf))
}

/// Depth of an object; the name before a separator may be empty.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PathDepth {
    Record,
    Below,
}

/// Returns the byte after the object that begins here.
fn walk(
    text: &[u8],
    start: usize,
    path: &mut Vec<u8>,
    depth: PathDepth,
    origin: ColumnsOrigin,
    each: &mut impl FnMut(&[u8], Range<usize>, Node),
) -> Option<usize> {
    let mut members = Members::new(text, start)?;
    let parent = path.len();
    while let Some((name, value)) = members.next() {
        if depth == PathDepth::Below {
            path.push(if origin == ColumnsOrigin::Sample { SEPARATOR } else { b'.' });
        }
        add_name(&text[name], path);
        let is_object = text.get(value) == Some(&b'{');
        let is_empty = is_object && text.get(skip_space(text, value + 1)) == Some(&b'}');
        let end = if is_object && !is_empty {
            if origin == ColumnsOrigin::User {
                each(path, value..value_end(text, value), Node::Object);
            }
            walk(text, value, path, PathDepth::Below, origin, each)?
        } else {
            let end = value_end(text, value);
            each(path, value..end, Node::Leaf);
            end
        };
        path.truncate(parent);
        members.go_to(end);
    }
    members.end()
}

pub(super) fn add_name(name: &[u8], path: &mut Vec<u8>) {
    let decoded = name.contains(&b'\\').then(|| decode(name)).flatten();
    path.extend_from_slice(decoded.as_deref().map_or(name, str::as_bytes));
}

/// Decodes the content of a JSON string; none where it holds half of a surrogate pair, which UTF-8 can't express.
pub(super) fn decode(content: &[u8]) -> Option<String> {
    serde_json::from_slice(&[b"\"", content, b"\""].concat()).ok()
}

/// Returns a path with dots between its names.
pub(super) fn dotted(path: &[u8]) -> String {
    let names = path.split(|byte| *byte == SEPARATOR).map(String::from_utf8_lossy);
    names.collect::<Vec<_>>().join(".")
}

/// Returns a path as a JSON pointer (RFC 6901).
fn pointer(path: &[u8]) -> String {
    let names = path.split(|byte| *byte == SEPARATOR).map(String::from_utf8_lossy);
    names.map(|name| format!("/{}", name.replace('~', "~0").replace('/', "~1"))).collect()
}
