//! What a crawl has written and readers read: an append-only log that ends with a seal.

mod alone;
mod digest;
mod disk;
mod files;
mod folder;
mod generations;
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
pub use log::{Extent, Gone, Landmark, Log, Memory, Next, Reader, Refused, Writer, unkept};
pub use opening::{Lead, Outcome, Subscription};
pub use opens::Opens;
pub use registry::{Lookup, Purpose, Recency, Registry, Role};
pub use retention::Listed;
pub use seal::{Seal, Verdict};
pub use standing::{Keeping, Snapshot, State};
pub use store::{BadStore, Begun, Birth, Facts, FileStorage, Reopened, Store, Stored, Unfinished, Unusable};
