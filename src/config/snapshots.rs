//! `[snapshots]`: how much is kept of what was crawled, where, for how long, and who may have it.

use std::path::PathBuf;
use std::time::Duration;

use super::keys::Level;
use super::node::{TomlNode, TomlTable};
use super::pace;
use super::units::{duration, size, size_or_none, wait, wait_or_none};
use super::words::{Flag, Words};
use crate::pace::Rate;

/// What is kept, and how it is handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshots {
    /// Where, and how much.
    pub settings: SnapshotSettings,
    /// How long a complete one is handed out again.
    pub fresh_for: Duration,
    /// How long one stays when nobody wants it any more.
    pub keep_for: Duration,
    /// How many crawls a caller may begin in a time.
    pub opens: Rate,
    /// What becomes of a request for a part that doesn't say of which one.
    pub resume: Resume,
    /// What becomes of those that were interrupted when unpage ended.
    pub on_start: OnStart,
}

/// Location and limits of the snapshots' bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotSettings {
    /// Folder of the snapshots' files; `None` keeps everything in memory.
    pub dir: Option<PathBuf>,
    /// Limit on the bytes of all logs in memory.
    pub memory: u64,
    /// Limit on the bytes of all files; 0 for no files.
    pub disk: u64,
    pub slow_reader: SlowReader,
    /// Time that a crawl goes on without a reader.
    pub linger: Duration,
}

/// Policy for a reader that is so slow that its log has no room left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowReader {
    /// The crawl waits for the reader.
    Wait,
    /// The reader is dropped when it has not moved for this long.
    Drop(Duration),
}

/// What becomes of a request for a part that doesn't say of which snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// It is refused: what the client has may be of another one.
    Refuse,
    /// It is sent to the only one that there is.
    Redirect,
}

/// What becomes of snapshots that were interrupted when unpage ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnStart {
    /// They go on when somebody asks for them.
    Wait,
    /// They go on at once, where they need no client for it.
    GoOn,
}

/// Who may have a collection's snapshots, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sharing {
    /// With whom a caller shares.
    pub scope: Scope,
    /// How long a complete one is handed out again.
    pub fresh_for: Duration,
    /// How long one stays when nobody wants it any more.
    pub keep_for: Duration,
}

/// With whom a caller shares a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// With those who send the same credentials and other fields.
    Caller,
    /// With all others who send the same other fields: their credentials don't count, and don't go upstream.
    Public,
}

impl Default for Snapshots {
    fn default() -> Self {
        let settings = SnapshotSettings {
            dir: None,
            memory: 256 << 20,
            disk: 10 << 30,
            slow_reader: SlowReader::Wait,
            linger: Duration::from_secs(30),
        };
        let per_minute = std::num::NonZeroU32::new(600).expect("it is more than none");
        Self {
            settings,
            fresh_for: Duration::from_secs(10),
            keep_for: Duration::from_secs(15 * 60),
            opens: Rate { requests: per_minute, period: Duration::from_secs(60) },
            resume: Resume::Refuse,
            on_start: OnStart::Wait,
        }
    }
}

impl Snapshots {
    /// What a collection has that says nothing of its own.
    pub fn sharing(&self) -> Sharing {
        Sharing { scope: Scope::Caller, fresh_for: self.fresh_for, keep_for: self.keep_for }
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
        "opens",
        "resume",
        "resume_on_start",
    ],
    others: &[],
};

/// Keys of a collection's own sharing.
pub(super) static SHARING: Level =
    Level { name: "[[collection]]", keys: &["public", "fresh_for", "keep_for"], others: &[] };

static RESUMES: Words<Resume> = Words(&[("refuse", Resume::Refuse), ("redirect", Resume::Redirect)]);

static ON_STARTS: Flag<OnStart> = Flag([OnStart::Wait, OnStart::GoOn]);

static SCOPES: Flag<Scope> = Flag([Scope::Caller, Scope::Public]);

/// Reads the table.
pub(super) fn read(node: &TomlNode<'_>) -> Option<Snapshots> {
    let table = node.table(&SNAPSHOTS)?;
    let default = Snapshots::default();
    let settings = SnapshotSettings {
        dir: table.maybe("dir", folder),
        memory: table.or("memory", default.settings.memory, size),
        disk: table.or("disk", default.settings.disk, size_or_none),
        slow_reader: slow_reader(&table),
        linger: table.or("linger", default.settings.linger, wait_or_none),
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
    Some(Snapshots { settings, fresh_for, keep_for, opens, resume, on_start })
}

/// Reads what a collection says of its own.
pub(super) fn sharing(table: &TomlTable<'_>, all: &Snapshots) -> Sharing {
    let scope = table.or("public", SCOPES.usual(), |node| SCOPES.read(node));
    let (fresh_for, keep_for) = times(table, all.fresh_for, all.keep_for);
    Sharing { scope, fresh_for, keep_for }
}

fn folder(node: &TomlNode<'_>) -> Option<PathBuf> {
    let path = node.text()?;
    if path.starts_with('~') {
        let hint = "write the whole path: dir = \"/home/NAME/snapshots\"";
        return node.refuse(format!("only a shell knows whose home that is: {path:?}"), hint);
    }
    Some(PathBuf::from(path))
}

fn slow_reader(table: &TomlTable<'_>) -> SlowReader {
    /// How long a reader may stand still.
    const STALL: Duration = Duration::from_secs(30);
    let stall = table.maybe("stall", wait);
    let drops =
        table.maybe("slow_reader", |node| Words(&[("wait", false), ("drop", true)]).read(node)).unwrap_or_default();
    if drops {
        return SlowReader::Drop(stall.unwrap_or(STALL));
    }
    if table.get("stall").is_some() && !table.notes.wrong_at(&table.path_of("slow_reader")) {
        let hint = "write slow_reader = \"drop\" too, or leave it out";
        table.refuse_at::<()>("stall", "nobody is dropped: slow_reader = \"wait\"", hint);
    }
    SlowReader::Wait
}

/// What is handed out has to be there.
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
