//! What a crawl has written and readers read: an append-only log that ends with a seal.

mod hold;
mod id;
mod log;
mod seal;
mod store;

pub use hold::may_leave;
pub use id::{Key, NotHex, SnapshotId};
pub use log::{Extent, Gone, Log, Next, Reader, Refused, Writer};
pub use seal::{Failure, Fault, Seal, Verdict};
pub use store::{
    BadStore, Begun, Birth, Facts, Reopened, Settings, SlowReader, Storage, Store, Stored, Unfinished, Unusable, unkept,
};
