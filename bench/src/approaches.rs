//! Every way from a page to lines that is measured, unpage's and its rivals'.

use std::hint::black_box;
use std::io::Write;

use bytes::Bytes;
use memchr::{memchr, memchr2};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use simd_json::prelude::Writable;
use sonic_rs::{JsonContainerTrait, JsonValueTrait};

use crate::splitter::{CHUNKS, Variant};

/// One way to treat a page.
#[derive(Clone, Debug)]
pub enum Approach {
    /// The limit: the page is copied.
    Memcpy,
    /// simdutf8 over the page.
    Utf8,
    /// serde_json checks the page and keeps nothing.
    IgnoredAny,
    /// **The baseline**: a serde visitor walks the page and copies each element's raw text out.
    RawVisitor,
    /// The baseline once more: how far it is from itself is the noise.
    RawVisitorAgain,
    /// serde_json, all elements' raw texts first.
    RawVec,
    /// serde_json, parsed and printed.
    Value,
    /// sonic-rs, parsed and printed.
    SonicValue,
    /// sonic-rs, all elements' raw texts first.
    SonicLazy,
    /// sonic-rs, from element to element without a check.
    SonicUnchecked,
    /// simd-json, parsed and printed.
    SimdValue,
    /// simd-json, printed from its tape.
    SimdTape,
    /// unpage's own splitter.
    Unpage(Variant),
}

/// Output of an approach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Yield {
    /// No lines.
    Nothing,
    /// Each record's own bytes.
    Raw,
    /// Each record printed anew.
    Printed,
}

impl Approach {
    /// All of them, the baseline among the first.
    pub fn all() -> Vec<Self> {
        let mut all = vec![
            Self::Memcpy,
            Self::Utf8,
            Self::RawVisitor,
            Self::RawVisitorAgain,
            Self::IgnoredAny,
            Self::RawVec,
            Self::Value,
            Self::SonicValue,
            Self::SonicLazy,
            Self::SonicUnchecked,
            Self::SimdValue,
            Self::SimdTape,
        ];
        all.extend(Variant::all(&CHUNKS).into_iter().map(Self::Unpage));
        all
    }

    /// Those that a page of 256 MiB doesn't drive out of memory.
    pub fn frugal() -> Vec<Self> {
        Self::all().into_iter().filter(Self::is_frugal).collect()
    }

    fn is_frugal(&self) -> bool {
        matches!(
            self,
            Self::Memcpy | Self::Utf8 | Self::RawVisitor | Self::RawVisitorAgain | Self::IgnoredAny | Self::Unpage(_)
        )
    }

    /// The row's heading.
    pub fn name(&self) -> String {
        match self {
            Self::Memcpy => "memcpy (the limit)",
            Self::Utf8 => "simdutf8, check only",
            Self::IgnoredAny => "serde_json `IgnoredAny`, check only",
            Self::RawVisitor => "serde_json `RawValue` visitor (baseline)",
            Self::RawVisitorAgain => "the baseline again (A/A)",
            Self::RawVec => "serde_json `Vec<&RawValue>`",
            Self::Value => "serde_json `Value`",
            Self::SonicValue => "sonic-rs `Value`",
            Self::SonicLazy => "sonic-rs `Vec<LazyValue>`",
            Self::SonicUnchecked => "sonic-rs iterator, unchecked",
            Self::SimdValue => "simd-json borrowed value",
            Self::SimdTape => "simd-json tape",
            Self::Unpage(variant) => return variant.name(),
        }
        .to_owned()
    }

    pub fn leaves(&self) -> Yield {
        match self {
            Self::Memcpy | Self::Utf8 | Self::IgnoredAny => Yield::Nothing,
            Self::Value | Self::SonicValue | Self::SimdValue | Self::SimdTape => Yield::Printed,
            Self::RawVisitor
            | Self::RawVisitorAgain
            | Self::RawVec
            | Self::SonicLazy
            | Self::SonicUnchecked
            | Self::Unpage(_) => Yield::Raw,
        }
    }

    /// Treats a page as a proxy would; `out` is a buffer that is used over and over.
    pub fn run(&self, page: &[u8], out: &mut Vec<u8>) {
        out.clear();
        match self {
            Self::Unpage(variant) => variant.split(page, |lines: &Bytes| {
                black_box(lines.len());
            }),
            rival => rival.write(page, out).expect("a generated page is good"),
        }
        black_box(out.as_slice());
    }

    /// The lines of a page.
    pub fn lines(&self, page: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Unpage(variant) => variant.split(page, |lines: &Bytes| out.extend_from_slice(lines)),
            rival => rival.write(page, &mut out).expect("a generated page is good"),
        }
        out
    }

    fn write(&self, page: &[u8], out: &mut Vec<u8>) -> Result<(), Box<dyn std::error::Error>> {
        match self {
            Self::Memcpy => out.extend_from_slice(page),
            Self::Utf8 => drop(black_box(simdutf8::basic::from_utf8(page)?)),
            Self::IgnoredAny => drop(black_box(serde_json::from_slice::<IgnoredAny>(page)?)),
            Self::RawVisitor | Self::RawVisitorAgain => raw_visitor(page, out)?,
            Self::RawVec => {
                let page: RawPage<'_> = serde_json::from_slice(page)?;
                page.data.iter().for_each(|record| line(record.get(), out));
            }
            Self::Value => value(page, out)?,
            Self::SonicValue => sonic_value(page, out)?,
            Self::SonicLazy => {
                let page: LazyPage<'_> = sonic_rs::from_slice(page)?;
                page.data.iter().for_each(|record| line(record.as_raw_str(), out));
            }
            Self::SonicUnchecked => sonic_unchecked(page, out)?,
            Self::SimdValue => simd_value(page, out)?,
            Self::SimdTape => simd_tape(page, out)?,
            Self::Unpage(_) => {}
        }
        Ok(())
    }
}

/// A record's own bytes as a line.
fn line(record: &str, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(record.as_bytes());
    if memchr2(b'\n', b'\r', record.as_bytes()).is_some() {
        let breaks = |byte: &mut u8| *byte = if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte };
        out[start..].iter_mut().for_each(breaks);
    }
    out.push(b'\n');
}

#[derive(Deserialize)]
struct RawPage<'a> {
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct LazyPage<'a> {
    #[serde(borrow)]
    data: Vec<sonic_rs::LazyValue<'a>>,
}

fn raw_visitor(page: &[u8], out: &mut Vec<u8>) -> serde_json::Result<()> {
    let mut deserializer = serde_json::Deserializer::from_slice(page);
    deserializer.deserialize_map(Members(out))?;
    deserializer.end()
}

/// Walks the members of a page.
struct Members<'a>(&'a mut Vec<u8>);

/// Walks its records.
struct Elements<'a>(&'a mut Vec<u8>);

impl<'de> Visitor<'de> for Members<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a page")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key::<&str>()? {
            match name {
                "data" => members.next_value_seed(Elements(self.0))?,
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Elements<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array of records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while let Some(record) = elements.next_element::<&RawValue>()? {
            line(record.get(), self.0);
        }
        Ok(())
    }
}

fn value(page: &[u8], out: &mut Vec<u8>) -> serde_json::Result<()> {
    let page: Value = serde_json::from_slice(page)?;
    for record in page["data"].as_array().into_iter().flatten() {
        serde_json::to_writer(&mut *out, record)?;
        out.push(b'\n');
    }
    Ok(())
}

fn sonic_value(page: &[u8], out: &mut Vec<u8>) -> sonic_rs::Result<()> {
    let page: sonic_rs::Value = sonic_rs::from_slice(page)?;
    let records = page.get("data").and_then(|data| data.as_array());
    for record in records.into_iter().flat_map(|records| records.iter()) {
        sonic_rs::to_writer(&mut *out, record)?;
        out.push(b'\n');
    }
    Ok(())
}

/// Nothing is searched for: the first `[` of these pages opens the records.
#[expect(unsafe_code, reason = "the rival's fastest way is one that trusts its input")]
fn sonic_unchecked(page: &[u8], out: &mut Vec<u8>) -> Result<(), Box<dyn std::error::Error>> {
    let start = memchr(b'[', page).ok_or("no array")?;
    // SAFETY: every page that is measured has been parsed by serde_json before.
    for record in unsafe { sonic_rs::to_array_iter_unchecked(&page[start..]) } {
        line(record?.as_raw_str(), out);
    }
    Ok(())
}

/// simd-json writes into its input, so that each page is copied first; that costs it less than 5 %.
fn simd_value(page: &[u8], out: &mut Vec<u8>) -> Result<(), Box<dyn std::error::Error>> {
    use simd_json::prelude::{ValueAsArray, ValueObjectAccess};
    let mut page = page.to_vec();
    let page = simd_json::to_borrowed_value(&mut page)?;
    for record in page.get("data").and_then(ValueAsArray::as_array).into_iter().flatten() {
        record.write(out)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

fn simd_tape(page: &[u8], out: &mut Vec<u8>) -> Result<(), Box<dyn std::error::Error>> {
    let mut page = page.to_vec();
    let tape = simd_json::to_tape(&mut page)?;
    let page = tape.as_value();
    let data = page.as_object().and_then(|page| page.get("data"));
    let records = data.and_then(|data| data.as_array());
    for record in records.iter().flat_map(simd_json::tape::Array::iter) {
        record.write(out)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}
