//! The masks of JSON text in blocks of 64 bytes, one bit a byte: structure, strings and flaws.
//!
//! As in simdjson's first stage (Langdale and Lemire, "Parsing gigabytes of JSON per second", 2019). The code that reads the masks
//! is the same on every machine; the code that makes them is chosen at run time. Both are one loop, so that no mask is stored.

/// Bytes in a block: one for each bit of a mask.
pub(super) const BLOCK: usize = 64;

const ODD: u64 = 0xaaaa_aaaa_aaaa_aaaa;

/// Classes of 64 bytes, before strings are told from structure.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ByteClasses {
    pub(super) quote: u64,
    /// `[`, `{`, `]` and `}`.
    pub(super) bracket: u64,
    pub(super) comma: u64,
    pub(super) rare: Option<RareClasses>,
    /// Bytes that stand in strings only: [`is_foreign`]; only with [`ScanDetail::Structure`].
    pub(super) foreign: u64,
    /// Only with [`ScanDetail::Grammar`].
    pub(super) colon: u64,
    /// White space; only with [`ScanDetail::Grammar`].
    pub(super) space: u64,
}

/// Classes of which most blocks have no byte: one test for all of them is cheaper than their masks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RareClasses {
    pub(super) backslash: u64,
    /// Bytes below 0x20.
    pub(super) control: u64,
    /// Bytes below 0x20 that are no white space.
    pub(super) never: u64,
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
    /// Control characters where JSON doesn't allow them, and backslashes and foreign bytes outside strings.
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
pub(super) struct Carry {
    /// All ones inside a string.
    string: u64,
    /// 1 if the first byte is escaped, else 0.
    escaped: u64,
    /// Control characters of all blocks.
    control: u64,
}

/// Classification of bytes on one kind of machine.
pub(super) trait Classify {
    fn classes(block: &[u8; BLOCK], detail: ScanDetail) -> ByteClasses;

    /// Sets each bit to the parity of itself and all bits below it.
    fn prefix_xor(mask: u64) -> u64;
}

/// A reader of the masks, which is copied into registers while it reads.
pub(super) trait BlockReader: Copy {
    const DETAIL: ScanDetail;

    /// Reads the block at byte `at` of the text.
    fn block(&mut self, block: &BlockMasks, at: usize, text: &[u8], cuts: &mut Cuts) -> Option<BlockStop>;
}

/// Reason for which a reader stops, and its offset in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockStop {
    /// The bracket that closes the first one.
    End(usize),
    /// Not what the text says was expected.
    Flaw(usize, &'static str),
    TooDeep(usize),
}

/// Offsets at which records end in a text.
#[derive(Debug)]
pub(super) struct Cuts {
    places: Box<[u16; Self::TEXT]>,
    len: usize,
}

impl Cuts {
    /// Longest text, in bytes: it stays in the first-level cache until its records are copied.
    pub(super) const TEXT: usize = 4096;

    pub(super) fn new() -> Self {
        Self { places: Box::new([0; Self::TEXT]), len: 0 }
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    /// Adds the offsets of a mask whose first bit is the byte at `start`.
    #[inline(always)]
    pub(super) fn add(&mut self, start: usize, mut mask: u64) {
        while mask != 0 {
            let place = start + mask.trailing_zeros() as usize;
            self.places[self.len] = u16::try_from(place).unwrap_or(u16::MAX);
            self.len += 1;
            mask &= mask - 1;
        }
    }

    pub(super) fn as_slice(&self) -> &[u16] {
        &self.places[..self.len]
    }
}

/// Makes the masks of a text with the instructions of one kind of machine, and has each block read.
#[inline(always)]
pub(super) fn scan_with<C: Classify, R: BlockReader>(
    text: &[u8],
    kept_carry: &mut Carry,
    kept_reader: &mut R,
    cuts: &mut Cuts,
) -> Option<BlockStop> {
    // Local copies stay in registers during the loop.
    let (mut carry, mut reader) = (*kept_carry, *kept_reader);
    let mut padded = [b' '; BLOCK];
    let mut stop = None;
    for at in (0..text.len()).step_by(BLOCK) {
        let rest = &text[at..];
        let masks = if let Some(block) = rest.first_chunk() {
            carry.block::<C>(block, BLOCK, R::DETAIL)
        } else {
            padded[..rest.len()].copy_from_slice(rest);
            carry.block::<C>(&padded, rest.len(), R::DETAIL)
        };
        stop = reader.block(&masks, at, text, cuts);
        if stop.is_some() {
            break;
        }
    }
    (*kept_carry, *kept_reader) = (carry, reader);
    stop
}

impl Carry {
    /// Returns whether the text ends inside a string.
    pub(super) fn is_in_string(&self) -> bool {
        self.string != 0
    }

    /// Returns whether a control character was read since the last call.
    pub(super) fn take_breaks(&mut self) -> bool {
        std::mem::take(&mut self.control) != 0
    }

    /// Makes the masks of a block: its first `len` bytes, at least one, are text, the others spaces.
    #[inline(always)]
    fn block<C: Classify>(&mut self, bytes: &[u8; BLOCK], len: usize, detail: ScanDetail) -> BlockMasks {
        let classes = C::classes(bytes, detail);
        let escaped = match classes.rare {
            None => std::mem::take(&mut self.escaped),
            Some(rare) => self.escaped(rare.backslash, len),
        };
        let quote = classes.quote & !escaped;
        let string = C::prefix_xor(quote) ^ self.string;
        self.string = 0_u64.wrapping_sub(string >> 63);
        let mut masks =
            BlockMasks { bracket: classes.bracket & !string, comma: classes.comma & !string, ..BlockMasks::default() };
        if let Some(rare) = classes.rare {
            self.control |= rare.control;
            masks.bad = (rare.backslash & !string) | (rare.control & string) | rare.never;
        }
        if detail == ScanDetail::Structure {
            masks.bad |= classes.foreign & !string;
        }
        if detail == ScanDetail::Grammar {
            (masks.string, masks.quote, masks.escaped) = (string, quote, escaped);
            masks.colon = classes.colon & !string;
            masks.space = classes.space & !string & below(len);
        }
        masks
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

/// Returns true for a printable byte that no number, literal or separator of JSON has: it stands in strings only.
pub(super) const fn is_foreign(byte: u8) -> bool {
    KNOWN_LOW[(byte & 15) as usize] & KNOWN_HIGH[(byte >> 4) as usize] == 0
}

// The tables by which vectors find the other bytes: each lower half of a byte has a bit for each higher half that makes it a known byte.
// No byte above 0x7f is known. Control characters all are: they are judged by themselves.
pub(super) const KNOWN_HIGH: [u8; 16] = [1, 2, 4, 8, 16, 32, 64, 128, 0, 0, 0, 0, 0, 0, 0, 0];
pub(super) const KNOWN_LOW: [u8; 16] = {
    const KNOWN: &[u8] = br#" "+,-.0123456789:E[]\aeflnrstu{}"#;
    let mut low = [1 | 2; 16];
    let mut at = 0;
    while at < KNOWN.len() {
        low[(KNOWN[at] & 15) as usize] |= KNOWN_HIGH[(KNOWN[at] >> 4) as usize];
        at += 1;
    }
    low
};

/// Classification without special instructions.
pub(super) struct Portable;

impl Classify for Portable {
    #[inline(always)]
    fn classes(block: &[u8; BLOCK], _: ScanDetail) -> ByteClasses {
        let (mut classes, mut rare) = (ByteClasses::default(), RareClasses::default());
        for (at, byte) in block.iter().enumerate() {
            let bit = 1_u64 << at;
            classes.foreign |= if is_foreign(*byte) { bit } else { 0 };
            match *byte {
                b'"' => classes.quote |= bit,
                b'\\' => rare.backslash |= bit,
                b'[' | b'{' | b']' | b'}' => classes.bracket |= bit,
                b',' => classes.comma |= bit,
                b':' => classes.colon |= bit,
                b' ' => classes.space |= bit,
                b'\t' | b'\n' | b'\r' => {
                    rare.control |= bit;
                    classes.space |= bit;
                }
                0..0x20 => {
                    rare.control |= bit;
                    rare.never |= bit;
                }
                _ => {}
            }
        }
        classes.rare = (rare.backslash | rare.control != 0).then_some(rare);
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
