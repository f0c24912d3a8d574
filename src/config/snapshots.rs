//! `[snapshots]`: bounds, place and lifetime of the snapshots, and their sharing.

use std::path::PathBuf;
use std::time::Duration;

use super::key_names::Level;
use super::keywords::{Flag, Words};
use super::pace;
use super::times_and_sizes::{duration, size, size_or_none, wait, wait_or_none};
use super::toml_node::{TomlNode, TomlTable};
use crate::pace::Rate;

/// Configuration of the snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshots {
    pub settings: SnapshotSettings,
    /// Time for which a complete snapshot is served without a crawl.
    pub fresh_for: Duration,
    /// Time for which a snapshot stays after its last reader.
    pub keep_for: Duration,
    /// Crawls that a caller may start in a time.
    pub opens: Rate,
    /// Crawls that run at a time.
    pub crawls: usize,
    pub resume: Resume,
    pub on_start: OnStart,
}

/// Location and limits of the snapshots' bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotSettings {
    /// Folder of the snapshots' files; `None` keeps everything in memory.
    pub dir: Option<PathBuf>,
    /// Limit on the bytes of all logs and crawls in memory.
    pub memory: u64,
    /// Limit on the bytes of all files; 0 for no files.
    pub disk: u64,
    pub slow_reader: SlowReader,
    /// Time that a crawl goes on without a reader.
    pub linger: Duration,
    /// Bytes of a file that a crawl may write before its first reader has them.
    pub ahead: u64,
}

/// Policy for a reader that is so slow that its log has no room left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowReader {
    /// The crawl waits for the reader.
    Wait,
    /// The reader is dropped when it has not moved for this long.
    Drop(Duration),
}

/// Answer to a byte range that names no snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// 412: the client's bytes may be of another snapshot.
    Refuse,
    /// 307 to the snapshot, where there is exactly one.
    Redirect,
}

/// Fate of snapshots whose crawls were interrupted by the end of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnStart {
    /// A request for the snapshot resumes the crawl.
    Wait,
    /// The start resumes the crawl, unless it needs a client's credentials.
    GoOn,
}

/// Sharing of a collection's snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sharing {
    pub scope: Scope,
    /// Time for which a complete snapshot is served without a crawl.
    pub fresh_for: Duration,
    /// Time for which a snapshot stays after its last reader.
    pub keep_for: Duration,
    /// Interval at which unpage crawls the collection itself.
    pub refresh: Option<Duration>,
}

/// Callers that share a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Callers with the same credentials and other header fields.
    Caller,
    /// All callers with the same other header fields; their credentials don't go upstream.
    Public,
}

#[cfg(test)]
impl SnapshotSettings {
    /// A little memory, and no files.
    pub(crate) fn in_test() -> Self {
        Self {
            dir: None,
            memory: 1 << 20,
            disk: 0,
            slow_reader: SlowReader::Wait,
            linger: Duration::ZERO,
            ahead: u64::MAX,
        }
    }
}

impl Default for Snapshots {
    fn default() -> Self {
        let settings = SnapshotSettings {
            dir: None,
            memory: 256 << 20,
            disk: 10 << 30,
            slow_reader: SlowReader::Wait,
            linger: Duration::from_secs(30),
            ahead: 64 << 20,
        };
        let per_minute = std::num::NonZeroU32::new(600).expect("it is more than none");
        Self {
            settings,
            fresh_for: Duration::from_secs(10),
            keep_for: Duration::from_secs(15 * 60),
            opens: Rate { requests: per_minute, period: Duration::from_secs(60) },
            crawls: 1000,
            resume: Resume::Refuse,
            on_start: OnStart::Wait,
        }
    }
}

impl Snapshots {
    /// Returns the sharing of a collection without keys of its own.
    pub fn sharing(&self) -> Sharing {
        Sharing { scope: Scope::Caller, fresh_for: self.fresh_for, keep_for: self.keep_for, refresh: None }
    }
}

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
        "ahead",
        "opens",
        "crawls",
        "resume",
        "resume_on_start",
    ],
    others: &[],
};

/// Keys of a collection's own sharing.
pub(super) static SHARING: Level =
    Level { name: "[[collection]]", keys: &["public", "fresh_for", "keep_for", "refresh"], others: &[] };

static RESUMES: Words<Resume> = Words(&[("refuse", Resume::Refuse), ("redirect", Resume::Redirect)]);

static ON_STARTS: Flag<OnStart> = Flag([OnStart::Wait, OnStart::GoOn]);

static SCOPES: Flag<Scope> = Flag([Scope::Caller, Scope::Public]);

/// Least value of `ahead`: readers don't get what is held back of the last record, so that a smaller distance could never be reached.
const LEAST_AHEAD: u64 = 64 << 10;

fn ahead(node: &TomlNode<'_>) -> Option<u64> {
    match size(node)? {
        bytes if bytes < LEAST_AHEAD => node.refuse("less than a crawl writes at once", "write \"64KiB\" or more"),
        bytes => Some(bytes),
    }
}

pub(super) fn read(node: &TomlNode<'_>) -> Option<Snapshots> {
    let table = node.table(&SNAPSHOTS)?;
    let default = Snapshots::default();
    let settings = SnapshotSettings {
        dir: table.maybe("dir", folder),
        memory: table.or("memory", default.settings.memory, size),
        disk: table.or("disk", default.settings.disk, size_or_none),
        slow_reader: slow_reader(&table),
        linger: table.or("linger", default.settings.linger, wait_or_none),
        ahead: table.or("ahead", default.settings.ahead, ahead),
    };
    let (fresh_for, keep_for) = times(&table, default.fresh_for, default.keep_for);
    let resume = table.or("resume", RESUMES.usual(), |node| RESUMES.read(node));
    let on_start = table.or("resume_on_start", ON_STARTS.usual(), |node| ON_STARTS.read(node));
    if settings.disk == 0 {
        for (key, is_said) in [("dir", settings.dir.is_some()), ("resume_on_start", on_start == OnStart::GoOn)] {
            if is_said {
                let hint = "leave one of the two out";
                table.refuse_at::<()>(key, "there are no files: disk = \"0\"", hint);
            }
        }
    }
    let opens = table.or("opens", default.opens, pace::rate);
    let crawls = table.or("crawls", default.crawls, |node| usize::try_from(node.number(1)?).ok());
    Some(Snapshots { settings, fresh_for, keep_for, opens, crawls, resume, on_start })
}

/// Reads a collection's own sharing.
pub(super) fn sharing(table: &TomlTable<'_>, all: &Snapshots) -> Sharing {
    let scope = table.or("public", SCOPES.usual(), |node| SCOPES.read(node));
    let refresh = table.maybe("refresh", refresh);
    // Each snapshot stays fresh until the next one is complete, which may take as long as the interval.
    let least = refresh.map_or(Duration::ZERO, |refresh| 2 * refresh);
    let fresh_for = all.fresh_for.max(least);
    let (fresh_for, keep_for) = times(table, fresh_for, all.keep_for.max(fresh_for));
    if refresh.is_some_and(|refresh| refresh >= fresh_for) && !table.notes.wrong_at(&table.path_of("fresh_for")) {
        let what = "no snapshot is fresh until the next one is complete";
        table.refuse_at::<()>("refresh", what, "leave fresh_for out (it is twice as long then), or raise it");
    }
    Sharing { scope, fresh_for, keep_for, refresh }
}

fn refresh(node: &TomlNode<'_>) -> Option<Duration> {
    match wait(node)? {
        interval if interval < Duration::from_secs(1) => node.refuse("shorter than a second", "write \"1s\" or more"),
        interval => Some(interval),
    }
}

fn folder(node: &TomlNode<'_>) -> Option<PathBuf> {
    let path = node.text()?;
    if path.starts_with('~') {
        let hint = "write the whole path: dir = \"/home/NAME/snapshots\"";
        return node.refuse(format!("only a shell expands ~: {path:?}"), hint);
    }
    Some(PathBuf::from(path))
}

fn slow_reader(table: &TomlTable<'_>) -> SlowReader {
    /// Time that a reader may stand still.
    const STALL: Duration = Duration::from_secs(30);
    let stall = table.maybe("stall", wait);
    let drops =
        table.maybe("slow_reader", |node| Words(&[("wait", false), ("drop", true)]).read(node)).unwrap_or_default();
    if drops {
        return SlowReader::Drop(stall.unwrap_or(STALL));
    }
    if table.get("stall").is_some() && !table.notes.wrong_at(&table.path_of("slow_reader")) {
        let hint = "write slow_reader = \"drop\" too, or leave it out";
        table.refuse_at::<()>("stall", "no reader is dropped: slow_reader = \"wait\"", hint);
    }
    SlowReader::Wait
}

/// Reads `fresh_for` and `keep_for`; a snapshot can be served no longer than it is kept.
fn times(table: &TomlTable<'_>, fresh_for: Duration, keep_for: Duration) -> (Duration, Duration) {
    let fresh_for = table.or("fresh_for", fresh_for, wait_or_none);
    let keep_for = table.or("keep_for", keep_for, duration);
    let wrong = ["fresh_for", "keep_for"].iter().any(|key| table.notes.wrong_at(&table.path_of(key)));
    if fresh_for > keep_for && !wrong {
        let key = if table.get("fresh_for").is_some() { "fresh_for" } else { "keep_for" };
        let shown = |time| humantime::format_duration(time);
        let what = format!("fresh for {}, and kept for only {}", shown(fresh_for), shown(keep_for));
        table.refuse_at::<()>(key, what, "lower fresh_for, or raise keep_for");
    }
    (fresh_for, keep_for)
}
