//! The masks of JSON text in blocks of 64 bytes, one bit a byte: structure, strings and flaws.
//!
//! As in simdjson's first stage (Langdale and Lemire, "Parsing gigabytes of JSON per second", 2019). The code that reads the masks
//! is the same on every machine; the code that makes them is chosen at run time.

/// Bytes in a block: one for each bit of a mask.
pub(super) const BLOCK: usize = 64;

const ODD: u64 = 0xaaaa_aaaa_aaaa_aaaa;

/// Classes of 64 bytes, before strings are told from structure.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ByteClasses {
    pub(super) quote: u64,
    pub(super) backslash: u64,
    /// `[`, `{`, `]` and `}`.
    pub(super) bracket: u64,
    pub(super) comma: u64,
    /// Bytes below 0x20.
    pub(super) control: u64,
    /// Bytes below 0x20 that are no white space.
    pub(super) never: u64,
    /// Only with [`ScanDetail::Grammar`].
    pub(super) colon: u64,
    /// White space; only with [`ScanDetail::Grammar`].
    pub(super) space: u64,
}

/// Detail of a block's masks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScanDetail {
    /// Brackets, commas and flaws.
    Structure,
    /// All masks that the grammar needs.
    Grammar,
}

/// Masks of the structure outside strings in 64 bytes, and of the strings.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BlockMasks {
    pub(super) bracket: u64,
    pub(super) comma: u64,
    /// Control characters where JSON doesn't allow them, and backslashes outside strings.
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

/// State from one block to the next.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BlockCarry {
    /// All ones inside a string.
    string: u64,
    /// 1 if the first byte is escaped, else 0.
    escaped: u64,
    /// A control character was read.
    has_breaks: bool,
}

/// Classification of bytes on one kind of machine.
pub(super) trait Classify {
    fn classes(block: &[u8; BLOCK], detail: ScanDetail) -> ByteClasses;

    /// Sets each bit to the parity of itself and all bits below it.
    fn prefix_xor(mask: u64) -> u64;
}

impl BlockCarry {
    /// Returns whether the text ends inside a string.
    pub(super) fn is_in_string(&self) -> bool {
        self.string != 0
    }

    /// Returns whether a control character was read since the last call.
    pub(super) fn take_breaks(&mut self) -> bool {
        std::mem::take(&mut self.has_breaks)
    }
}

/// Makes the masks of a text with the instructions of one kind of machine.
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
    // A local copy stays in registers during the loop.
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
    /// Makes the masks of a block: its first `len` bytes, at least one, are text, the others spaces.
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

    /// Mask of the bytes that a backslash escapes: every second one of a run of backslashes, and the byte behind an odd run.
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

/// Classification without special instructions.
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
