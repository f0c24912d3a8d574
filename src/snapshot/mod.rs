//! What a crawl has written and readers read: an append-only log that ends with a seal.

mod alone;
mod digest;
mod disk;
mod effort;
mod files;
mod folder;
mod generations;
mod hold;
mod id;
pub mod journal;
mod log;
mod millis;
mod opening;
mod opens;
mod recovery;
mod registry;
mod retention;
mod seal;
mod standing;
mod store;

pub use alone::{at, finish, reopen_at};
pub use digest::Digest;
pub use effort::{Effort, Spending, Waiting};
pub use hold::may_leave;
pub use id::{Key, NotHex, SnapshotId};
pub use log::{Extent, Gone, Landmark, Log, Memory, Next, Reader, Refused, Writer, unkept};
pub use opening::{Lead, Outcome, Subscription};
pub use opens::Opens;
pub use registry::{Lookup, Purpose, Recency, Registry, Role};
pub use retention::Listed;
pub use seal::{Failure, Fault, Seal, Verdict};
pub use standing::{Keeping, Snapshot, State};
pub use store::{
    BadStore, Begun, Birth, Facts, Reopened, Settings, SlowReader, Storage, Store, Stored, Unfinished, Unusable,
};
