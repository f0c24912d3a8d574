//! Demands of an upstream's answers on their storage (RFC 9111 §3 and §5.2), and the callers that may share a snapshot of them.

use http::{HeaderMap, HeaderName, header};

use super::facts::{CallerIdentity, Retention};

const NO_STORE: &str = "Cache-Control: no-store";
const PRIVATE: &str = "Cache-Control: private";

/// Demand of an answer on its storage; the greater, the stricter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StorageDemand {
    /// Retention for a caller that nothing identifies.
    retention: Retention,
    /// Field of the answer that demands it; empty where none does.
    field: &'static str,
}

/// Limit of the answers that may be added to a snapshot.
#[derive(Clone, Copy, Debug)]
pub struct SharingLimit {
    pub retention: Retention,
    /// Caller that the snapshot is made for.
    pub caller: CallerIdentity,
}

impl StorageDemand {
    pub const NONE: Self = Self { retention: Retention::Shared, field: "" };

    pub fn of(answer: &HeaderMap) -> Self {
        let has = |directive| directives(answer).any(|name| name == directive);
        let (retention, field) = if has("no-store") {
            (Retention::Transient, NO_STORE)
        } else if listed(answer, &header::VARY).any(|name| name == "*") {
            (Retention::Private, "Vary: *")
        } else if answer.contains_key(header::SET_COOKIE) {
            (Retention::Private, "Set-Cookie")
        } else if has("private") {
            (Retention::Private, PRIVATE)
        } else {
            return Self::NONE;
        };
        Self { retention, field }
    }

    /// Returns the retention of a snapshot whose first answer has this demand.
    pub fn of_first(self, caller: CallerIdentity) -> Retention {
        // The upstream may know a caller without credentials by its address, which no other caller shares.
        if self.field == PRIVATE { self.of_later(caller) } else { self.retention }
    }

    /// Returns the retention of a snapshot of which a later answer has this demand. A known caller shares its key with no other one: a session
    /// cookie that is renewed on the way breaks none of its streams.
    pub fn of_later(self, caller: CallerIdentity) -> Retention {
        match (self.retention, caller) {
            (Retention::Private, CallerIdentity::Known) => Retention::Shared,
            (retention, _) => retention,
        }
    }
}

impl SharingLimit {
    /// Returns the field that forbids to add an answer with this demand; none where it may be added.
    pub fn exceeded_by(&self, demand: StorageDemand) -> Option<&'static str> {
        (demand.of_later(self.caller) > self.retention).then_some(demand.field)
    }
}

/// Returns the names of the directives. A name inside a quoted value counts, too: it can only forbid what was allowed.
fn directives(answer: &HeaderMap) -> impl Iterator<Item = String> {
    listed(answer, &header::CACHE_CONTROL).map(|directive| {
        let name = directive.split('=').next().unwrap_or_default();
        name.trim_matches(|c: char| c == '"' || c.is_ascii_whitespace()).to_owned()
    })
}

/// Returns the members of a field that is a list, in lower case.
fn listed(answer: &HeaderMap, field: &HeaderName) -> impl Iterator<Item = String> {
    let values = answer.get_all(field).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|member| member.trim().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn demand(fields: &[(&'static str, &'static str)]) -> StorageDemand {
        let field = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        StorageDemand::of(&fields.iter().map(field).collect())
    }

    #[test]
    fn the_upstream_decides_which_callers_may_share() {
        use CallerIdentity::{Known, Unknown};
        use Retention::{Private, Shared, Transient};
        for (fields, known, unknown) in [
            (&[][..], Shared, Shared),
            (&[("cache-control", "max-age=60, must-revalidate")], Shared, Shared),
            (&[("cache-control", "max-age=60, No-Store")], Transient, Transient),
            (&[("cache-control", "max-age=60"), ("cache-control", "no-store")], Transient, Transient),
            (&[("cache-control", "private")], Shared, Private),
            (&[("cache-control", "private=\"x, y\"")], Shared, Private),
            (&[("cache-control", "no-cache")], Shared, Shared),
            (&[("set-cookie", "a=1")], Private, Private),
            (&[("set-cookie", "a=1"), ("cache-control", "private")], Private, Private),
            (&[("vary", "accept, *")], Private, Private),
            (&[("vary", "accept, accept-language")], Shared, Shared),
        ] {
            assert_eq!(demand(fields).of_first(Known), known, "{fields:?}");
            assert_eq!(demand(fields).of_first(Unknown), unknown, "{fields:?}");
        }
    }

    #[test]
    fn a_later_answer_is_added_only_where_all_that_get_the_snapshot_may_have_it() {
        use CallerIdentity::{Known, Unknown};
        use Retention::{Private, Shared, Transient};
        let exceeded = |retention, caller, field| SharingLimit { retention, caller }.exceeded_by(demand(&[field]));
        for (field, named) in
            [(("cache-control", "private"), PRIVATE), (("set-cookie", "a=1"), "Set-Cookie"), (("vary", "*"), "Vary: *")]
        {
            assert_eq!(exceeded(Shared, Unknown, field), Some(named));
            assert_eq!(exceeded(Private, Unknown, field), None);
            assert_eq!(exceeded(Shared, Known, field), None);
        }
        let no_store = ("cache-control", "no-store");
        for caller in [Known, Unknown] {
            assert_eq!(exceeded(Shared, caller, no_store), Some(NO_STORE));
            assert_eq!(exceeded(Private, caller, no_store), Some(NO_STORE));
            assert_eq!(exceeded(Transient, caller, no_store), None);
        }
    }
}
