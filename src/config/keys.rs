//! Every key that a configuration may have, table by table; what an unknown key was probably meant to be.

use std::sync::LazyLock;

use crate::pagination::Style;
use crate::pagination::styles::StyleSchema;

/// One kind of table.
#[derive(Debug)]
pub(super) struct Level {
    /// How a reader of a message finds it.
    pub(super) name: &'static str,
    /// What it may hold.
    pub(super) keys: &'static [&'static str],
}

pub(super) static TOP: Level = Level {
    name: "the top of the file",
    keys: &["listen", "admin", "format_param", "snapshot_param", "since_param", "snapshots", "collection", "upstream"],
};

pub(super) static COLLECTION: Level = Level {
    name: "[[collection]]",
    keys: &[
        "path",
        "upstream",
        "upstream_path",
        "upstream_aliases",
        "credentials",
        "accept",
        "headers",
        "ca",
        "http",
        "timeouts",
        "retry",
        "width",
        "max_width",
        "rate",
        "rate_limit",
        "method",
        "body",
        "records",
        "records_optional",
        "encoding",
        "validate",
        "compact",
        "key",
        "page_size",
        "pagination",
        "partition",
        "order",
        "total",
        "total_pages",
        "limits",
        "error_path",
        "since",
        "valid_at",
        "match",
        "caps",
        "public",
        "fresh_for",
        "keep_for",
        "allow",
    ],
};

pub(super) static SNAPSHOTS: Level = Level {
    name: "[snapshots]",
    keys: &[
        "dir",
        "memory",
        "disk",
        "slow_reader",
        "stall",
        "linger",
        "fresh_for",
        "keep_for",
        "opens",
        "resume",
        "resume_on_start",
    ],
};

pub(super) static UPSTREAM: Level = Level {
    name: "[upstream.NAME]",
    keys: &[
        "url",
        "aliases",
        "credentials",
        "accept",
        "headers",
        "ca",
        "http",
        "timeouts",
        "retry",
        "width",
        "max_width",
        "rate",
        "rate_limit",
    ],
};

pub(super) static CREDENTIALS: Level = Level { name: "credentials", keys: &["bearer", "basic", "header", "query"] };
pub(super) static BASIC: Level = Level { name: "credentials.basic", keys: &["user", "password"] };
pub(super) static NAMED: Level = Level { name: "credentials.header and .query", keys: &["name", "value"] };
pub(super) static SECRET: Level = Level { name: "a secret", keys: &["env", "file"] };
pub(super) static TIMEOUTS: Level = Level { name: "timeouts", keys: &["connect", "head", "idle"] };
pub(super) static RETRY: Level = Level { name: "retry", keys: &["attempts", "base", "cap", "statuses", "wait"] };
pub(super) static WAIT: Level = Level { name: "retry.wait", keys: &["path", "unit"] };
pub(super) static RATE_LIMIT: Level = Level { name: "rate_limit", keys: &["remaining", "reset", "limit"] };
pub(super) static RECORDS: Level = Level { name: "records", keys: &["path", "as"] };
pub(super) static PAGE_SIZE: Level = Level { name: "page_size", keys: &["param", "value", "max"] };
pub(super) static LIMITS: Level = Level { name: "limits", keys: &["max_offset", "max_pages", "max_results"] };
pub(super) static CAPS: Level =
    Level { name: "caps", keys: &["page", "record", "pages", "empty_pages", "window", "spool"] };
pub(super) static PARTITION_RANGE: Level =
    Level { name: "a partition by range", keys: &["from", "to", "kind", "field", "lower", "upper", "order"] };
pub(super) static PARTITION_VALUES: Level = Level { name: "a partition by values", keys: &["param", "values"] };
pub(super) static PARTITION_NUMBERED: Level =
    Level { name: "a partition by number", keys: &["segment", "total_segments", "count"] };
pub(super) static SINCE: Level = Level { name: "since", keys: &["param", "field"] };
pub(super) static VALID_AT: Level = Level { name: "valid_at", keys: &["param", "from", "format"] };
pub(super) static MORE: Level = Level { name: "pagination.more", keys: &["path", "while"] };
pub(super) static END: Level = Level { name: "pagination.end", keys: &["status"] };
pub(super) static LINKS: Level = Level { name: "a link lookup", keys: &["links", "rel"] };
pub(super) static TOKEN: Level = Level { name: "pagination.tokens", keys: &["next", "param", "from_url_param"] };

/// The pagination types and what each of them takes.
pub(super) static STYLES: LazyLock<Vec<Level>> = LazyLock::new(|| {
    let level = |schema: &&'static StyleSchema| {
        let keys: Vec<&'static str> = schema.keys.iter().map(|key| key.name).collect();
        Level { name: schema.name, keys: keys.leak() }
    };
    Style::SCHEMAS.iter().map(level).collect()
});

/// The tables beside the pagination types.
pub(super) static LEVELS: [&Level; 25] = [
    &TOP,
    &SNAPSHOTS,
    &COLLECTION,
    &UPSTREAM,
    &CREDENTIALS,
    &BASIC,
    &NAMED,
    &SECRET,
    &TIMEOUTS,
    &RETRY,
    &WAIT,
    &RATE_LIMIT,
    &RECORDS,
    &PAGE_SIZE,
    &LIMITS,
    &CAPS,
    &PARTITION_RANGE,
    &PARTITION_VALUES,
    &PARTITION_NUMBERED,
    &SINCE,
    &VALID_AT,
    &MORE,
    &END,
    &LINKS,
    &TOKEN,
];

/// What to say about a key that `level` does not have.
pub(super) fn hint(key: &str, level: &Level) -> String {
    let all = || level.keys.join(", ");
    if let Some(near) = nearest(key, level.keys.iter().copied()) {
        return format!("did you mean {near:?}?");
    }
    let styles: Vec<_> = STYLES.iter().filter(|style| style.keys.contains(&key)).map(|style| style.name).collect();
    let in_style = STYLES.iter().any(|style| std::ptr::eq(style, level));
    if in_style && !styles.is_empty() {
        return format!("{key} belongs to type {}; known for type {}: {}", styles.join(", "), level.name, all());
    }
    if in_style && COLLECTION.keys.contains(&key) {
        return format!("{key} belongs beside pagination, in [[collection]]");
    }
    if !styles.is_empty() && std::ptr::eq(level, &COLLECTION) {
        return format!("{key} belongs inside pagination = {{ … }}, of type {}", styles.join(", "));
    }
    match LEVELS.iter().find(|other| other.keys.contains(&key)) {
        Some(other) => format!("{key} belongs in {}", other.name),
        None => format!("known here: {}", all()),
    }
}

/// The candidate that a word was probably meant to be.
pub(super) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // A word of one or two letters is near to every other.
    let length = word.chars().count();
    let bound = if length > 2 { (length / 3).max(1) } else { 0 };
    candidates
        .map(|candidate| (strsim::osa_distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= bound)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
