//! What a crawl has written and readers read: an append-only log that ends with a seal.

mod alone;
mod disk;
mod files;
mod folder;
mod hold;
mod id;
pub mod journal;
mod log;
mod millis;
mod recovery;
mod seal;
mod store;

pub use alone::{at, finish, reopen_at};
pub use hold::may_leave;
pub use id::{Key, NotHex, SnapshotId};
pub use log::{Extent, Gone, Log, Memory, Next, Reader, Refused, Writer, unkept};
pub use seal::{Failure, Fault, Seal, Verdict};
pub use store::{
    BadStore, Begun, Birth, Facts, Reopened, Settings, SlowReader, Storage, Store, Stored, Unfinished, Unusable,
};
