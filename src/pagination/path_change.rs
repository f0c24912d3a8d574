//! Change of a path by a redirect: what the first page's redirect changed, every later one must change.

/// Segments that a redirect puts in place of others, and their place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathChange {
    removed: Vec<String>,
    added: Vec<String>,
    /// The segments around: those before the change, and those behind it.
    around: [Vec<String>; 2],
}

impl PathChange {
    /// Compares two paths segment by segment.
    pub fn between(from: &str, to: &str) -> Self {
        let [from, to] = [from, to].map(|path| path.split('/').map(ToOwned::to_owned).collect::<Vec<_>>());
        let before = from.iter().zip(&to).take_while(|(one, other)| one == other).count();
        let (rest, other_rest) = (&from[before..], &to[before..]);
        let behind = rest.iter().rev().zip(other_rest.iter().rev()).take_while(|(one, other)| one == other).count();
        Self {
            removed: rest[..rest.len() - behind].to_vec(),
            added: other_rest[..other_rest.len() - behind].to_vec(),
            around: [from[..before].to_vec(), rest[rest.len() - behind..].to_vec()],
        }
    }

    /// Returns true if the paths differ by slashes at most.
    pub fn is_slash(&self) -> bool {
        self.removed.iter().chain(&self.added).all(String::is_empty)
    }

    /// Returns true if this segment is not where it was.
    pub fn removes(&self, segment: &str) -> bool {
        self.removed.iter().any(|removed| removed == segment)
    }

    /// Returns true if both change the same segments behind the same beginning (`/v1` to `/v2`), or before the same end (a slash that is appended).
    pub fn is_like(&self, other: &Self) -> bool {
        let is_same = self.removed == other.removed && self.added == other.added;
        let is_none = self.removed.is_empty() && self.added.is_empty();
        is_same && (is_none || self.around[0] == other.around[0] || self.around[1] == other.around[1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_the_same_at_the_same_place() {
        let change = |(from, to)| PathChange::between(from, to);
        for (first, later, is_like) in [
            (("/items", "/items/"), ("/items", "/items/"), true),
            (("/items", "/items/"), ("/items/p2", "/items/p2/"), true),
            (("/v1/items", "/v2/items"), ("/v1/p2", "/v2/p2"), true),
            (("/moved/items", "/items"), ("/moved/p2", "/p2"), true),
            (("/old/name/issues", "/repositories/7/issues"), ("/old/name/issues", "/repositories/7/issues"), true),
            (("/items", "/items"), ("/p2", "/p2"), true),
            (("/items", "/items"), ("/p2", "/login"), false),
            (("/items", "/items"), ("/p3", "/p4"), false),
            (("/items", "/items/"), ("/items/3f9a", "/items/"), false),
            (("/items", "/items/"), ("/p3", "/p4/"), false),
            (("/v1/items", "/v2/items"), ("/v1/p3", "/v2/p4"), false),
            (("/p1", "/p2"), ("/p2", "/p3"), false),
        ] {
            assert_eq!(change(first).is_like(&change(later)), is_like, "{first:?} {later:?}");
        }
    }
}
