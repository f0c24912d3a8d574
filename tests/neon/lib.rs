//! The splitter with its tests, for machines with NEON: `tests/all.sh` runs them under qemu.
#![allow(dead_code, unused_imports, reason = "the program uses what this part of it doesn't")]

#[path = "../../src/batch.rs"]
pub mod batch;
#[path = "../../src/caps.rs"]
pub mod caps;
#[path = "../../src/pagination/mod.rs"]
pub mod pagination;

#[test]
fn this_machine_has_neon() {
    assert_eq!(pagination::splitter::Isa::best().to_string(), "NEON");
}
