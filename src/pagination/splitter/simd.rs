//! Masks by the machine's vector instructions; the only `unsafe` of the crate.
//!
//! Vectors are loaded from whole arrays of their size, so that no length can be wrong.
#![expect(unsafe_code, reason = "vector loads, and calls of code that only some machines can run")]

#[cfg(target_arch = "x86_64")]
use std::arch::is_x86_feature_detected as has;
use std::fmt;

use super::masks::{
    BLOCK, BlockReader, BlockStop, ByteClasses, Carry, Classify, Cuts, KNOWN_HIGH, KNOWN_LOW, Portable, RareClasses,
    ScanDetail, scan_with,
};

/// Instruction set that makes the masks. One that this machine lacks can't be constructed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isa(IsaKind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum IsaKind {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Isa {
    /// The best instruction set of this machine.
    pub fn best() -> Self {
        Self::available().next().unwrap_or(Self(IsaKind::Portable))
    }

    /// All instruction sets of this machine, the best one first; the last one is portable.
    pub fn available() -> impl Iterator<Item = Self> {
        let mut kinds = vec![IsaKind::Portable];
        #[cfg(target_arch = "aarch64")]
        kinds.insert(0, IsaKind::Neon);
        #[cfg(target_arch = "x86_64")]
        if has!("avx2") && has!("pclmulqdq") && has!("bmi1") && has!("bmi2") {
            kinds.insert(0, IsaKind::Avx2);
            if has!("avx512f") && has!("avx512bw") {
                kinds.insert(0, IsaKind::Avx512);
            }
        }
        kinds.into_iter().map(Self)
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            IsaKind::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            IsaKind::Avx2 => "AVX2",
            #[cfg(target_arch = "x86_64")]
            IsaKind::Avx512 => "AVX-512",
            #[cfg(target_arch = "aarch64")]
            IsaKind::Neon => "NEON",
        })
    }
}

/// Makes the masks of a text, and has each block read.
pub(super) fn scan<R: BlockReader>(
    isa: Isa,
    text: &[u8],
    carry: &mut Carry,
    reader: &mut R,
    cuts: &mut Cuts,
) -> Option<BlockStop> {
    match isa.0 {
        IsaKind::Portable => scan_with::<Portable, R>(text, carry, reader, cuts),
        // SAFETY: an `Isa` of this kind is only made by `available`, which asked the machine for these instructions.
        #[cfg(target_arch = "x86_64")]
        IsaKind::Avx2 => unsafe { scan_avx2(text, carry, reader, cuts) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        IsaKind::Avx512 => unsafe { scan_avx512(text, carry, reader, cuts) },
        #[cfg(target_arch = "aarch64")]
        IsaKind::Neon => scan_with::<Neon, R>(text, carry, reader, cuts),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,pclmulqdq,bmi1,bmi2")]
fn scan_avx2<R: BlockReader>(text: &[u8], carry: &mut Carry, reader: &mut R, cuts: &mut Cuts) -> Option<BlockStop> {
    scan_with::<Avx2, R>(text, carry, reader, cuts)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,avx512f,avx512bw,pclmulqdq,bmi1,bmi2")]
fn scan_avx512<R: BlockReader>(text: &[u8], carry: &mut Carry, reader: &mut R, cuts: &mut Cuts) -> Option<BlockStop> {
    scan_with::<Avx512, R>(text, carry, reader, cuts)
}

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Only used inside `scan_avx2`.
#[cfg(target_arch = "x86_64")]
struct Avx2;

#[cfg(target_arch = "x86_64")]
impl Classify for Avx2 {
    #[inline(always)]
    fn classes(block: &[u8; BLOCK], detail: ScanDetail) -> ByteClasses {
        let ([low, high], _) = block.as_chunks::<32>() else { return ByteClasses::default() };
        // SAFETY: each load is of 32 bytes, from an array of 32 bytes, and needs no alignment; all else is arithmetic. This runs
        // only inside `scan_avx2`, where the machine has AVX2.
        unsafe {
            let a = _mm256_loadu_si256(low.as_ptr().cast());
            let b = _mm256_loadu_si256(high.as_ptr().cast());
            let mask = |(a, b): (__m256i, __m256i)| {
                let [low, high] = [a, b].map(|half| u64::from(_mm256_movemask_epi8(half).cast_unsigned()));
                pinned(low | high << 32)
            };
            let is = |a: __m256i, b: __m256i, byte: u8| {
                let byte = _mm256_set1_epi8(byte.cast_signed());
                (_mm256_cmpeq_epi8(a, byte), _mm256_cmpeq_epi8(b, byte))
            };
            // `[` and `{`, and `]` and `}`, differ in this bit only.
            let bit = _mm256_set1_epi8(0x20);
            let (upper_a, upper_b) = (_mm256_or_si256(a, bit), _mm256_or_si256(b, bit));
            let (opens, closes) = (is(upper_a, upper_b, b'{'), is(upper_a, upper_b, b'}'));
            let last = _mm256_set1_epi8(0x1f);
            let is_control = |v: __m256i| _mm256_cmpeq_epi8(_mm256_min_epu8(v, last), v);
            let backslash = is(a, b, b'\\');
            let has_control = is_control(_mm256_min_epu8(a, b));
            let rare = _mm256_or_si256(_mm256_or_si256(backslash.0, backslash.1), has_control);
            // The four white bytes differ in their lower halves, by which each finds itself.
            let white = _mm256_broadcastsi128_si256(_mm_setr_epi8(32, 0, 0, 0, 0, 0, 0, 0, 0, 9, 10, 0, 0, 13, 0, 0));
            let is_white = |v: __m256i| _mm256_cmpeq_epi8(_mm256_shuffle_epi8(white, v), v);
            let mut classes = ByteClasses {
                quote: mask(is(a, b, b'"')),
                bracket: mask((_mm256_or_si256(opens.0, closes.0), _mm256_or_si256(opens.1, closes.1))),
                comma: mask(is(a, b, b',')),
                ..ByteClasses::default()
            };
            if _mm256_movemask_epi8(rare) != 0 {
                let control = mask((is_control(a), is_control(b)));
                let never = if control == 0 { 0 } else { control & !mask((is_white(a), is_white(b))) };
                classes.rare = Some(RareClasses { backslash: mask(backslash), control, never });
            }
            if detail == ScanDetail::Structure {
                let table = |table: &[u8; 16]| _mm256_broadcastsi128_si256(_mm_loadu_si128(table.as_ptr().cast()));
                let (low, high, half) = (table(&KNOWN_LOW), table(&KNOWN_HIGH), _mm256_set1_epi8(15));
                // A byte above 0x7f shuffles to zero.
                let foreign = |v: __m256i| {
                    let low = _mm256_shuffle_epi8(low, v);
                    let high = _mm256_shuffle_epi8(high, _mm256_and_si256(_mm256_srli_epi16::<4>(v), half));
                    _mm256_cmpeq_epi8(_mm256_and_si256(low, high), _mm256_setzero_si256())
                };
                classes.foreign = mask((foreign(a), foreign(b)));
            }
            if detail == ScanDetail::Grammar {
                classes.colon = mask(is(a, b, b':'));
                classes.space = mask((is_white(a), is_white(b)));
            }
            classes
        }
    }

    #[inline(always)]
    fn prefix_xor(mask: u64) -> u64 {
        // SAFETY: as above, with PCLMULQDQ.
        unsafe { carry_less_sum(mask) }
    }
}

/// Only used inside `scan_avx512`.
#[cfg(target_arch = "x86_64")]
struct Avx512;

#[cfg(target_arch = "x86_64")]
impl Classify for Avx512 {
    #[inline(always)]
    fn classes(block: &[u8; BLOCK], detail: ScanDetail) -> ByteClasses {
        // SAFETY: the load is of 64 bytes, from an array of 64 bytes, and needs no alignment; all else is arithmetic. This runs
        // only inside `scan_avx512`, where the machine has AVX-512BW.
        unsafe {
            let bytes = _mm512_loadu_si512(block.as_ptr().cast());
            let is = |bytes, byte: u8| pinned(_mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(byte.cast_signed())));
            // `[` and `{`, and `]` and `}`, differ in this bit only.
            let bit = _mm512_set1_epi8(0x20);
            let upper = _mm512_or_si512(bytes, bit);
            let breaks = || is(bytes, b'\t') | is(bytes, b'\n') | is(bytes, b'\r');
            let (backslash, control) = (is(bytes, b'\\'), pinned(_mm512_cmplt_epu8_mask(bytes, bit)));
            let mut classes = ByteClasses {
                quote: is(bytes, b'"'),
                bracket: is(upper, b'{') | is(upper, b'}'),
                comma: is(bytes, b','),
                ..ByteClasses::default()
            };
            if backslash | control != 0 {
                let never = if control == 0 { 0 } else { control & !breaks() };
                classes.rare = Some(RareClasses { backslash, control, never });
            }
            if detail == ScanDetail::Structure {
                let table = |table: &[u8; 16]| _mm512_broadcast_i32x4(_mm_loadu_si128(table.as_ptr().cast()));
                let half = _mm512_set1_epi8(15);
                // A byte above 0x7f shuffles to zero.
                let low = _mm512_shuffle_epi8(table(&KNOWN_LOW), bytes);
                let high = _mm512_and_si512(_mm512_srli_epi16::<4>(bytes), half);
                classes.foreign = pinned(_mm512_testn_epi8_mask(low, _mm512_shuffle_epi8(table(&KNOWN_HIGH), high)));
            }
            if detail == ScanDetail::Grammar {
                classes.colon = is(bytes, b':');
                classes.space = is(bytes, b' ') | breaks();
            }
            classes
        }
    }

    #[inline(always)]
    fn prefix_xor(mask: u64) -> u64 {
        // SAFETY: as above, with PCLMULQDQ.
        unsafe { carry_less_sum(mask) }
    }
}

/// The mask, of which LLVM doesn't know any more that it was a vector: it would take it apart bit by bit, at a fourth of the speed.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn pinned(mut mask: u64) -> u64 {
    // SAFETY: there is no instruction.
    unsafe { std::arch::asm!("/* {mask} */", mask = inout(reg) mask, options(pure, nomem, nostack, preserves_flags)) };
    mask
}

/// The carry-less product with all ones has in each bit the parity of the bits up to it.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "pclmulqdq")]
fn carry_less_sum(mask: u64) -> u64 {
    let product = _mm_clmulepi64_si128(_mm_set_epi64x(0, mask.cast_signed()), _mm_set1_epi8(-1), 0);
    _mm_cvtsi128_si64(product).cast_unsigned()
}

/// AArch64 always has NEON.
#[cfg(target_arch = "aarch64")]
struct Neon;

#[cfg(target_arch = "aarch64")]
impl Classify for Neon {
    #[inline(always)]
    fn classes(block: &[u8; BLOCK], detail: ScanDetail) -> ByteClasses {
        use std::arch::aarch64::*;
        const BITS: [u8; 16] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];
        let ([q0, q1, q2, q3], _) = block.as_chunks::<16>() else { return ByteClasses::default() };
        // SAFETY: each load is of 16 bytes, from an array of 16 bytes, and needs no alignment; all else is arithmetic, and every
        // AArch64 has NEON.
        unsafe {
            let v = [vld1q_u8(q0.as_ptr()), vld1q_u8(q1.as_ptr()), vld1q_u8(q2.as_ptr()), vld1q_u8(q3.as_ptr())];
            let bits = vld1q_u8(BITS.as_ptr());
            // Each byte keeps the bit of its place, and three rounds of adding neighbours bring eight of them into one byte.
            let mask = |m: [uint8x16_t; 4]| {
                let [a, b, c, d] = m.map(|m| vandq_u8(m, bits));
                let sums = vpaddq_u8(vpaddq_u8(a, b), vpaddq_u8(c, d));
                vgetq_lane_u64::<0>(vreinterpretq_u64_u8(vpaddq_u8(sums, sums)))
            };
            let is = |v: [uint8x16_t; 4], byte: u8| v.map(|v| vceqq_u8(v, vdupq_n_u8(byte)));
            // `[` and `{`, and `]` and `}`, differ in this bit only.
            let bit = vdupq_n_u8(0x20);
            let upper = v.map(|v| vorrq_u8(v, bit));
            let breaks = || mask(is(v, b'\t')) | mask(is(v, b'\n')) | mask(is(v, b'\r'));
            let (backslash, control) = (mask(is(v, b'\\')), mask(v.map(|v| vcltq_u8(v, bit))));
            let mut classes = ByteClasses {
                quote: mask(is(v, b'"')),
                bracket: mask(is(upper, b'{')) | mask(is(upper, b'}')),
                comma: mask(is(v, b',')),
                ..ByteClasses::default()
            };
            if backslash | control != 0 {
                let never = if control == 0 { 0 } else { control & !breaks() };
                classes.rare = Some(RareClasses { backslash, control, never });
            }
            if detail == ScanDetail::Structure {
                let (low, high) = (vld1q_u8(KNOWN_LOW.as_ptr()), vld1q_u8(KNOWN_HIGH.as_ptr()));
                let foreign = |v| {
                    let low = vqtbl1q_u8(low, vandq_u8(v, vdupq_n_u8(15)));
                    vceqzq_u8(vandq_u8(low, vqtbl1q_u8(high, vshrq_n_u8::<4>(v))))
                };
                classes.foreign = mask(v.map(foreign));
            }
            if detail == ScanDetail::Grammar {
                classes.colon = mask(is(v, b':'));
                classes.space = mask(is(v, b' ')) | breaks();
            }
            classes
        }
    }

    #[inline(always)]
    fn prefix_xor(mask: u64) -> u64 {
        Portable::prefix_xor(mask)
    }
}
