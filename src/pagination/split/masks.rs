//! JSON text in blocks of 64 bytes: which of them are structure, and which stand in strings.
//!
//! Each block becomes masks, one bit a byte (as simdjson's first stage has it: Langdale and Lemire, "Parsing gigabytes of
//! JSON per second", 2019). What reads the masks is the same code on every machine; what makes them is chosen at run time.

/// Bytes in a block: one for each bit of a mask.
pub(super) const BLOCK: usize = 64;

const ODD: u64 = 0xaaaa_aaaa_aaaa_aaaa;

/// What 64 bytes are, before strings are told from structure.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ByteClasses {
    pub(super) quote: u64,
    pub(super) backslash: u64,
    /// `[`, `{`, `]` and `}`.
    pub(super) bracket: u64,
    pub(super) comma: u64,
    /// Below 0x20.
    pub(super) control: u64,
    /// Below 0x20, and no white space.
    pub(super) never: u64,
    /// Only with [`ScanDetail::Grammar`].
    pub(super) colon: u64,
    /// White space; only with [`ScanDetail::Grammar`].
    pub(super) space: u64,
}

/// What is found out about a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScanDetail {
    /// BlockBrackets, commas and what can't stand where it stands.
    Structure,
    /// Everything that the grammar needs.
    Grammar,
}

/// What stands outside strings in 64 bytes, and where the strings are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BlockMasks {
    pub(super) bracket: u64,
    pub(super) comma: u64,
    /// Control characters that JSON doesn't allow where they stand, and backslashes outside strings.
    pub(super) bad: u64,
    /// Only with [`ScanDetail::Grammar`], as all below.
    pub(super) colon: u64,
    /// Space, tab and line breaks.
    pub(super) space: u64,
    /// Strings, with their opening and without their closing quote.
    pub(super) string: u64,
    /// The quotes at both ends of strings.
    pub(super) quote: u64,
    /// Bytes that a backslash escapes.
    pub(super) escaped: u64,
}

/// What a block must know of the one before it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BlockCarry {
    /// All ones inside a string.
    string: u64,
    /// Whether the first byte is escaped: 0 or 1.
    escaped: u64,
    /// Whether there was a control character.
    has_breaks: bool,
}

/// The way from bytes to masks on one kind of machine.
pub(super) trait Classify {
    /// The classes of a block.
    fn classes(block: &[u8; BLOCK], detail: ScanDetail) -> ByteClasses;

    /// Each bit becomes the parity of itself and all below it.
    fn prefix_xor(mask: u64) -> u64;
}

impl BlockCarry {
    /// Whether a string goes on.
    pub(super) fn is_in_string(&self) -> bool {
        self.string != 0
    }

    /// Whether there was a control character since the last time.
    pub(super) fn take_breaks(&mut self) -> bool {
        std::mem::take(&mut self.has_breaks)
    }
}

/// [`Scanner::scan`] as each machine has it.
#[inline(always)]
pub(super) fn scan_with<C: Classify>(
    bytes: &[u8],
    carry: &mut BlockCarry,
    detail: ScanDetail,
    blocks: &mut [BlockMasks],
) {
    match detail {
        ScanDetail::Structure => scan_each::<C>(bytes, carry, ScanDetail::Structure, blocks),
        ScanDetail::Grammar => scan_each::<C>(bytes, carry, ScanDetail::Grammar, blocks),
    }
}

#[inline(always)]
fn scan_each<C: Classify>(bytes: &[u8], kept: &mut BlockCarry, detail: ScanDetail, blocks: &mut [BlockMasks]) {
    // In registers, for the time of the loop.
    let mut carry = *kept;
    let (whole, rest) = bytes.as_chunks::<BLOCK>();
    let mut blocks = blocks.iter_mut();
    for (bytes, block) in whole.iter().zip(blocks.by_ref()) {
        carry.block::<C>(bytes, BLOCK, detail, block);
    }
    if let Some(block) = blocks.next() {
        let mut padded = [b' '; BLOCK];
        padded[..rest.len()].copy_from_slice(rest);
        carry.block::<C>(&padded, rest.len(), detail, block);
    }
    *kept = carry;
}

impl BlockCarry {
    /// Makes the masks of a block of which only the first `len` bytes, at least one, are text, and the others spaces.
    #[inline(always)]
    fn block<C: Classify>(&mut self, bytes: &[u8; BLOCK], len: usize, detail: ScanDetail, block: &mut BlockMasks) {
        let classes = C::classes(bytes, detail);
        let escaped = self.escaped(classes.backslash, len);
        let quote = classes.quote & !escaped;
        let string = C::prefix_xor(quote) ^ self.string;
        self.string = 0_u64.wrapping_sub(string >> 63);
        block.bracket = classes.bracket & !string;
        block.comma = classes.comma & !string;
        block.bad = (classes.backslash & !string) | (classes.control & string) | classes.never;
        self.has_breaks |= classes.control != 0;
        if detail == ScanDetail::Grammar {
            block.colon = classes.colon & !string;
            block.space = classes.space & !string & below(len);
            (block.string, block.quote, block.escaped) = (string, quote, escaped);
        }
    }

    /// Which bytes a backslash escapes: every second one of a run of backslashes, and what follows an odd run.
    #[inline(always)]
    fn escaped(&mut self, backslash: u64, len: usize) -> u64 {
        if backslash == 0 {
            return std::mem::take(&mut self.escaped);
        }
        // Subtraction carries through each run that starts at an even place, and so tells it from those at odd ones.
        let may_escape = backslash & !self.escaped;
        let codes = (((may_escape << 1) | ODD).wrapping_sub(may_escape)) ^ ODD;
        let escaped = codes ^ (backslash | self.escaped);
        self.escaped = ((codes & backslash) >> (len - 1)) & 1;
        escaped
    }
}

/// All bits below bit `len`, which may be 64.
#[inline(always)]
pub(super) fn below(len: usize) -> u64 {
    if len < BLOCK { (1 << len) - 1 } else { u64::MAX }
}

/// The way that every machine has.
pub(super) struct Portable;

impl Classify for Portable {
    #[inline(always)]
    fn classes(block: &[u8; BLOCK], _: ScanDetail) -> ByteClasses {
        let mut classes = ByteClasses::default();
        for (at, byte) in block.iter().enumerate() {
            let bit = 1_u64 << at;
            match *byte {
                b'"' => classes.quote |= bit,
                b'\\' => classes.backslash |= bit,
                b'[' | b'{' | b']' | b'}' => classes.bracket |= bit,
                b',' => classes.comma |= bit,
                b':' => classes.colon |= bit,
                b' ' => classes.space |= bit,
                b'\t' | b'\n' | b'\r' => {
                    classes.control |= bit;
                    classes.space |= bit;
                }
                0..0x20 => {
                    classes.control |= bit;
                    classes.never |= bit;
                }
                _ => {}
            }
        }
        classes
    }

    #[inline(always)]
    fn prefix_xor(mut mask: u64) -> u64 {
        for shift in [1, 2, 4, 8, 16, 32] {
            mask ^= mask << shift;
        }
        mask
    }
}
