//! Heads under any bytes: the scanner passes what httparse, hyper's parser, reads in the same way, and nothing else.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/it/head_agreement.rs"]
mod head_agreement;

fuzz_target!(|input: &[u8]| {
    let Some((piece, bytes)) = input.split_first() else { return };
    head_agreement::check(bytes, usize::from(*piece));
});
