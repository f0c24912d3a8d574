//! An XML element as JSON: an object of its attributes (`@name`), its child elements and its text (`#text`), or a string where it has
//! text alone. Names are kept as they are written, with their prefixes; a child element that comes again makes an array of all.

use std::borrow::Cow;
use std::collections::BTreeMap;

use quick_xml::escape::unescape;
use quick_xml::events::BytesStart;
use serde_json::Value;

/// Bytes in memory that a name costs beside its text.
const NAME_BYTES: usize = 128;

#[derive(Debug, Default)]
pub(super) struct XmlElement {
    pub(super) name: String,
    members: Vec<Member>,
    /// Position of each name in the members.
    places: BTreeMap<String, usize>,
    text: String,
    has_children: bool,
    bytes: usize,
}

/// Values of one name.
#[derive(Debug)]
struct Member {
    name: String,
    /// JSON of the values, with commas between them.
    values: Vec<u8>,
    count: u64,
}

impl XmlElement {
    /// Reads a start tag.
    pub(super) fn new(tag: &str) -> Result<Self, String> {
        let name = tag.split_ascii_whitespace().next().unwrap_or_default();
        if !is_name(name) || !tag.starts_with(name) {
            return Err("a tag has no name".to_owned());
        }
        let mut element = Self { name: name.to_owned(), ..Self::default() };
        for attribute in attributes(tag, name.len()) {
            let (name, value) = attribute?;
            let name = format!("@{name}");
            // quick-xml compares each name with all others.
            if element.places.contains_key(&name) {
                return Err(format!("two attributes of a tag have the name {}", &name[1..]));
            }
            element.add(&name, Value::from(value).to_string().as_bytes());
        }
        Ok(element)
    }

    /// Adds text with its references resolved: those that XML has by itself, and those of characters.
    pub(super) fn add_text(&mut self, text: &str) -> Result<(), String> {
        let text = resolved(text)?;
        self.add_verbatim(&text);
        Ok(())
    }

    /// Adds text, each line break of which is one line feed (XML 1.0 §2.11).
    pub(super) fn add_verbatim(&mut self, text: &str) {
        let text =
            if text.contains('\r') { Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n")) } else { text.into() };
        self.bytes += text.len();
        self.text.push_str(&text);
    }

    pub(super) fn add_child(&mut self, name: &str, json: &[u8]) {
        self.has_children = true;
        self.add(name, json);
    }

    /// Removes the space around the text, which has no meaning in a flag or a token.
    pub(super) fn trimmed(mut self) -> Self {
        self.text = self.text.trim().to_owned();
        self
    }

    /// Names of the child elements and attributes.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|member| member.name.as_str())
    }

    /// Number of bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// JSON of the element.
    pub(super) fn into_json(self) -> Vec<u8> {
        if self.members.is_empty() {
            return Value::from(self.text).to_string().into_bytes();
        }
        let mut json = b"{".to_vec();
        self.write_members(&mut json);
        json.push(b'}');
        json
    }

    /// Writes the members of the element's object, with commas between them and behind what stands in an open object already.
    pub(super) fn write_members(self, json: &mut Vec<u8>) {
        let text = if self.has_children { self.text.trim() } else { &self.text };
        let text = (!text.trim().is_empty()).then(|| Value::from(text).to_string().into_bytes());
        let text = text.map(|values| Member { name: "#text".to_owned(), values, count: 1 });
        for Member { name, values, count } in self.members.into_iter().chain(text) {
            if !matches!(json.last(), None | Some(b'{')) {
                json.push(b',');
            }
            json.extend_from_slice(Value::from(name).to_string().as_bytes());
            let (open, close): (&[u8], &[u8]) = if count > 1 { (b":[", b"]") } else { (b":", b"") };
            [open, &values, close].iter().for_each(|part| json.extend_from_slice(part));
        }
    }

    fn add(&mut self, name: &str, json: &[u8]) {
        self.bytes += json.len() + 1;
        let place = self.places.get(name).copied().unwrap_or_else(|| {
            self.bytes += NAME_BYTES + 2 * name.len();
            self.places.insert(name.to_owned(), self.members.len());
            self.members.push(Member { name: name.to_owned(), values: Vec::new(), count: 0 });
            self.members.len() - 1
        });
        let member = &mut self.members[place];
        if member.count > 0 {
            member.values.push(b',');
        }
        member.values.extend_from_slice(json);
        member.count += 1;
    }
}

/// Names and values of a tag's attributes, behind a name of this length.
pub(super) fn attributes(tag: &str, name_len: usize) -> impl Iterator<Item = Result<(String, String), String>> {
    let tag = BytesStart::from_content(tag, name_len);
    let all: Vec<_> = tag
        .attributes()
        .with_checks(false)
        .map(|attribute| {
            let attribute = attribute.map_err(|wrong| wrong.to_string())?;
            // A line break or tab in a value is a space (XML 1.0 §3.3.3).
            let value = attribute.value.replace("\r\n", " ").replace(['\r', '\n', '\t'], " ");
            Ok((attribute.key.as_ref().to_owned(), resolved(&value)?.into_owned()))
        })
        .collect();
    all.into_iter()
}

fn resolved(text: &str) -> Result<Cow<'_, str>, String> {
    unescape(text).map_err(|wrong| format!("a reference is none that XML has by itself: {wrong}"))
}

/// Returns true for a name as XML 1.0 §2.3 has them; characters beyond ASCII are not told apart.
fn is_name(name: &str) -> bool {
    let is_start = |c: char| c.is_ascii_alphabetic() || matches!(c, '_' | ':') || !c.is_ascii();
    let is_part = |c: char| is_start(c) || c.is_ascii_digit() || matches!(c, '-' | '.');
    name.starts_with(is_start) && name.chars().all(is_part)
}
