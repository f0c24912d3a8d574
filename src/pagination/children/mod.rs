//! Children: the lists that the records of another list lead to, one for each parent.

mod added_members;
mod lineage;
mod lists_summary;
mod parent_key;
mod tally;

pub use added_members::AddedMembers;
pub use lineage::{Ancestor, Lineage};
pub use lists_summary::{ListsSummary, WeakList};
pub use parent_key::{BadParent, ParentKey};
pub use tally::{ChildrenTally, ListEnd};
