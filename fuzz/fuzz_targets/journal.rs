//! A journal under any bytes: the result is a prefix of whole lines, the same wherever the rest is cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use twox_hash::XxHash3_64;
use unpage::snapshot::journal::Journal;

fuzz_target!(|input: &[u8]| {
    let Some((cut, lines)) = input.split_first() else { return };
    check(lines, *cut);
    // Nothing but a checksum would ever be tried without good ones.
    let (mut text, mut seed) = (Vec::new(), 0);
    for line in lines.split(|byte| *byte == b'\n') {
        seed = XxHash3_64::oneshot_with_seed(seed, line);
        text.extend_from_slice(format!("{seed:016x} ").as_bytes());
        text.extend_from_slice(line);
        text.push(b'\n');
    }
    check(&text, *cut);
});

fn check(text: &[u8], cut: u8) {
    let Ok(whole) = Journal::read(text) else { return };
    let end = usize::try_from(whole.mark().length).expect("a length of what is in memory");
    assert_eq!(text[end - 1], b'\n');
    let mut last = (0, 0);
    for page in &whole.pages {
        assert!(page.extent.bytes >= last.0 && page.records >= last.1);
        last = (page.extent.bytes, page.records);
    }
    assert_eq!(entries(&Journal::read(&text[..end]).expect("it has a birth")), entries(&whole));
    let length = text.len() * usize::from(cut) / 256;
    if let Ok(less) = Journal::read(&text[..length]) {
        assert!(less.mark().length <= length as u64);
        let (less, whole) = (entries(&less), entries(&whole));
        assert_eq!(less, whole[..less.len()]);
    }
}

fn entries(journal: &Journal<'_>) -> Vec<String> {
    let pages = journal.pages.iter().map(|page| format!("{page:?}"));
    let birth = format!("{:?} {:?}", journal.id, journal.birth);
    std::iter::once(birth).chain(pages).chain(journal.end.iter().map(|end| format!("{end:?}"))).collect()
}
