//! The splitter against serde_json: pages of every kind, cut anywhere, at both levels, with every instruction set, and the keys of their
//! records.
#![no_main]

use std::fmt;
use std::sync::{Arc, LazyLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use unpage::batch::Batch;
use unpage::caps::Caps;
use unpage::pagination::splitter::{Isa, MAX_DEPTH, PageShape, Splitter};
use unpage::pagination::{Encoding, PageError, Pagination, Path, Records, Source, Style, Validation};

/// Place of the records in a page.
#[derive(Clone, Copy)]
enum Place {
    Root,
    Wrapped,
    Base64,
    /// In a string that may be base64.
    Text,
}

/// Every way to read pages of one kind, at one level.
struct Reader {
    validation: Validation,
    shapes: Vec<Arc<PageShape>>,
}

/// Result of a splitter.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// Its lines, and the value of `next`.
    Split(Vec<u8>, Value),
    Refused,
    /// It says that it failed: whether that is in the way of its records isn't what is tested here.
    Error,
}

#[derive(Deserialize)]
struct Wrapped<'a> {
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
    #[serde(default)]
    next: Value,
}

static READERS: LazyLock<[(Place, [Reader; 2]); 4]> = LazyLock::new(|| {
    [Place::Root, Place::Wrapped, Place::Base64, Place::Text]
        .map(|place| (place, [Validation::Structure, Validation::Full].map(|validation| Reader::of(place, validation))))
});

fuzz_target!(|data: &[u8]| {
    let [place, seed, text @ ..] = data else { return };
    let (place, levels) = &READERS[usize::from(*place) % READERS.len()];
    let page = place.page(text);
    let expected = place.judge(text, &page);
    let [structure, full] = levels.each_ref().map(|reader| reader.read(&page, *seed));
    if let Some(expected) = expected {
        assert!(structure == expected || structure == Outcome::Error, "{structure:?}, expected {expected:?}");
        assert!(full == expected || full == Outcome::Error, "{full:?}, expected {expected:?}");
    }
    if let Outcome::Split(..) = full {
        assert!(is_json(if let Place::Base64 = place { text } else { &page }), "taken at the level `full`");
        assert_eq!(structure, full);
    }
});

impl Place {
    fn page(self, text: &[u8]) -> Vec<u8> {
        let encoded = || STANDARD.encode(text).into_bytes();
        match self {
            Self::Root => text.to_vec(),
            Self::Wrapped => {
                let mut parts = text.splitn(3, |byte| *byte == 0xff);
                let mut part = || parts.next().unwrap_or(b"0");
                [b"{\"a\":", part(), b",\"data\":[", part(), b"],\"next\":", part(), b"}"].concat()
            }
            Self::Base64 => [b"{\"parameters\":[],\"data\":\"", encoded().as_slice(), b"\",\"next\":7}"].concat(),
            Self::Text => [b"{\"data\":\"", text, b"\"}"].concat(),
        }
    }

    /// Expected result, if serde_json accepts the page.
    fn judge(self, text: &[u8], page: &[u8]) -> Option<Outcome> {
        let json = std::str::from_utf8(if let Self::Base64 = self { text } else { page }).ok()?;
        let json = if let Self::Root = self { json.strip_prefix('\u{feff}').unwrap_or(json) } else { json };
        let (records, next) = match self {
            Self::Root => (serde_json::from_str::<Vec<&RawValue>>(json).ok()?, Value::Null),
            Self::Base64 => (serde_json::from_str(json).ok()?, Value::from(7)),
            Self::Wrapped => {
                let Wrapped { data, next } = serde_json::from_str(json).ok()?;
                (data, next)
            }
            Self::Text => return None,
        };
        let lines =
            records.iter().map(|record| record.get().replace(['\t', '\n', '\r'], " ") + "\n").collect::<String>();
        let is_deep = depth(json) > MAX_DEPTH;
        Some(if is_deep { Outcome::Refused } else { Outcome::Split(lines.into_bytes(), next) })
    }
}

impl Reader {
    fn of(place: Place, validation: Validation) -> Self {
        let path = if let Place::Root = place { Path::root() } else { "data".parse().expect("a path") };
        let encoding = if let Place::Base64 | Place::Text = place { Encoding::Base64 } else { Encoding::None };
        let mut pagination = Pagination::of(Style::SINGLE, Records { validation, encoding, ..Records::at(path) });
        pagination.total = match place {
            Place::Root => None,
            _ => Some(Source::Body("next".parse().expect("a path"))),
        };
        pagination.key = Some("id".parse().expect("a path"));
        let shape = PageShape::new(&pagination, &Caps::default());
        Self { validation, shapes: Isa::available().map(|isa| Arc::new(shape.clone().with_isa(isa))).collect() }
    }

    /// Reads the page whole, and cut somehow with every instruction set: all must agree.
    fn read(&self, page: &[u8], seed: u8) -> Outcome {
        let whole = self.split(&self.shapes[0], page, |len| len);
        for shape in &self.shapes {
            let mut random = fastrand::Rng::with_seed(seed.into());
            let most = [1, 3, 16, 65, 130, 1024][usize::from(seed) % 6];
            assert_eq!(self.split(shape, page, |len| random.usize(1..=most).min(len)), whole);
        }
        whole
    }

    fn split(&self, shape: &Arc<PageShape>, mut page: &[u8], mut size: impl FnMut(usize) -> usize) -> Outcome {
        let mut splitter = Splitter::new(Arc::clone(shape));
        let mut lines = Vec::new();
        while !page.is_empty() {
            let (piece, rest) = page.split_at(size(page.len()));
            if splitter.feed(piece).is_err() {
                self.check_left(&lines);
                return Outcome::Refused;
            }
            let batch = splitter.take();
            self.check_keys(&batch);
            lines.extend_from_slice(batch.lines());
            page = rest;
        }
        match splitter.finish() {
            Ok(page) => {
                self.check_keys(&page.batch);
                lines.extend_from_slice(page.batch.lines());
                let next = page.fields.get(&"next".parse().expect("a path")).cloned();
                Outcome::Split(lines, next.unwrap_or_default())
            }
            Err(PageError::ErrorInPage { .. }) => Outcome::Error,
            Err(_) => {
                self.check_left(&lines);
                Outcome::Refused
            }
        }
    }

    /// Each key of a batch is the text of its record's first member with this name, as far as serde_json reads the record.
    fn check_keys(&self, batch: &Batch) {
        for (line, key) in batch.each().zip(batch.keys().unwrap_or_default()) {
            if let Ok(FirstId(id)) = serde_json::from_slice(line) {
                assert_eq!(batch.key(*key), id.map(|id| id.get().as_bytes()).filter(|id| *id != b"null"));
            }
        }
    }

    /// Only whole records leave before a page is refused.
    fn check_left(&self, lines: &[u8]) {
        let is_whole = |line: &[u8]| line.ends_with(b"\n") && is_json(line);
        let all = lines.split_inclusive(|byte| *byte == b'\n');
        assert!(self.validation == Validation::Structure || all.into_iter().all(is_whole));
    }
}

/// Value of the first member `id` of an object.
struct FirstId<'a>(Option<&'a RawValue>);

impl<'de> Deserialize<'de> for FirstId<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = FirstId<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FirstId<'de>, A::Error> {
                let mut first = None;
                while let Some(name) = map.next_key::<String>()? {
                    if name == "id" && first.is_none() {
                        first = Some(map.next_value()?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(FirstId(first))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

fn is_json(text: &[u8]) -> bool {
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    let is_whole = |text: &str| serde_json::from_str::<&RawValue>(text).is_ok() && depth(text) <= MAX_DEPTH;
    std::str::from_utf8(text).is_ok_and(|text| is_whole(text) || is_whole(behind_preamble(text)))
}

/// JSON behind a prefix against hijacking, or in the brackets of a call, as browsers are sent it.
fn behind_preamble(text: &str) -> &str {
    let text = text.trim_ascii();
    let prefixes = [")]}'", "while(1);", "while (1);", "for(;;);", "for (;;);", "throw 1;"];
    if let Some(rest) = prefixes.iter().find_map(|prefix| text.strip_prefix(prefix)) {
        let rest = rest.trim_ascii_start();
        return rest.strip_prefix(',').unwrap_or(rest);
    }
    let call = text.split_once('(').map_or("", |(_, call)| call);
    call.trim_end_matches([';', ' ', '\t', '\n', '\r']).strip_suffix(')').unwrap_or("")
}

/// Depth of a JSON text.
fn depth(text: &str) -> usize {
    let (mut depth, mut most, mut in_string, mut escaped) = (0, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth -= 1,
            _ => {}
        }
        most = most.max(depth);
    }
    most
}
