//! An XML page, read as JSON: each record leaves as its element ends, and what stands around the records follows behind them.
//!
//! ```text
//! <list><more>no</more><item/><item/></list>   ⇒   {"list":{"item":["",""],"more":"no"}}
//! ```
//!
//! The elements on the way to the records come once in a page, so that all records stand in one array.

use bytes::Bytes;

use super::MAX_DEPTH;
use super::flaw::bad_text;
use super::xml_element::{XmlElement, attributes};
use super::xml_tokens::{XML, XmlToken, XmlTokens};
use crate::pagination::path::Segment;
use crate::pagination::{PageError, Path, Presence, Records};

/// Position in an XML page.
#[derive(Debug, Default)]
pub(super) struct XmlText {
    tokens: XmlTokens,
    elements: XmlElements,
}

/// Elements that are open, and those around the records that have ended.
#[derive(Debug, Default)]
struct XmlElements {
    /// Names from the root element to a record; empty where the page is converted as a whole.
    way: Vec<String>,
    /// Names from the root element to each value that is read of a page, the records included.
    watched: Vec<Vec<String>>,
    presence: Option<Presence>,
    open: Vec<XmlElement>,
    /// Number of open elements, from the root on, that lead to the records; on_way ≤ open.len() and < way.len()
    on_way: usize,
    /// Number of elements on the way that the page has had.
    seen: usize,
    /// Elements on the way that have ended, from the inside to the outside.
    ended: Vec<XmlElement>,
    records: u64,
    /// JSON of the root element's members, where it leads to no records.
    other_root: Option<(String, Vec<u8>)>,
}

/// JSON of a whole XML page; `None` for any other page, and for HTML.
pub(crate) fn xml_as_json(page: &[u8]) -> Option<Bytes> {
    if !page.trim_ascii_start().starts_with(b"<") {
        return None;
    }
    let (mut xml, mut json) = (XmlText::default(), Vec::new());
    xml.feed(page, &mut json).ok()?;
    let is_for_people = xml.elements.other_root.as_ref().is_none_or(|(name, _)| name.eq_ignore_ascii_case("html"));
    xml.end(&mut json).ok().filter(|()| !is_for_people)?;
    Some(Bytes::from(json))
}

impl XmlText {
    /// Begins a page of these records, of which the values at `fields` are read as well.
    pub(super) fn new(records: &Records, fields: &[Path]) -> Self {
        let name = |segment: &Segment| match segment {
            Segment::Name(name) => Some(name.clone()),
            _ => None,
        };
        let names = |path: &Path| -> Vec<_> { path.segments().iter().map_while(name).collect() };
        let way = records.paths.first().map(names).unwrap_or_default();
        let watched = fields.iter().chain(&records.paths).map(names).collect();
        let elements = XmlElements { way, watched, presence: Some(records.presence), ..XmlElements::default() };
        Self { elements, ..Self::default() }
    }

    /// Adds the JSON of the records that the piece ends to `json`.
    pub(super) fn feed(&mut self, piece: &[u8], json: &mut Vec<u8>) -> Result<(), PageError> {
        let Self { tokens, elements } = self;
        tokens.feed(piece, &mut |token| elements.take(token, json))
    }

    /// Ends the page: adds what stands around the records.
    pub(super) fn end(self, json: &mut Vec<u8>) -> Result<(), PageError> {
        let end = self.tokens.end()?;
        self.elements.end(end, json)
    }

    /// Number of bytes in memory.
    pub(super) fn held_bytes(&self) -> usize {
        let elements = self.elements.open.iter().chain(&self.elements.ended);
        self.tokens.held_bytes() + elements.map(XmlElement::bytes).sum::<usize>()
    }
}

impl XmlElements {
    fn take(&mut self, token: XmlToken<'_>, json: &mut Vec<u8>) -> Result<(), String> {
        match (token, self.open.last_mut()) {
            (XmlToken::Passed, _) => Ok(()),
            (XmlToken::Declaration(declaration), _) => check_declaration(declaration),
            (XmlToken::Text(text), Some(element)) => element.add_text(text),
            (XmlToken::Verbatim(text), Some(element)) => {
                element.add_verbatim(text);
                Ok(())
            }
            (XmlToken::Text(text), None) if text.trim().is_empty() => Ok(()),
            (XmlToken::Text(_) | XmlToken::Verbatim(_), None) => {
                Err("text stands outside of the root element".to_owned())
            }
            (XmlToken::Start(tag), _) => self.begin(tag),
            (XmlToken::Empty(tag), _) => {
                self.begin(tag)?;
                self.finish(json)
            }
            (XmlToken::End(name), Some(element)) if element.name == name.trim_ascii_end() => self.finish(json),
            (XmlToken::End(name), Some(element)) => {
                Err(format!("`</{name}>` stands where `</{}>` was expected", element.name))
            }
            (XmlToken::End(_), None) => Err("an end tag stands outside of the root element".to_owned()),
        }
    }

    fn begin(&mut self, tag: &str) -> Result<(), String> {
        let depth = self.open.len();
        if depth == 0 && (!self.ended.is_empty() || self.other_root.is_some()) {
            return Err("a second root element stands in it".to_owned());
        }
        if depth == MAX_DEPTH - 3 {
            return Err(format!("it is nested more than {depth} deep"));
        }
        let element = XmlElement::new(tag)?;
        let leads_on = self.on_way == depth && depth + 1 < self.way.len() && self.way[depth] == element.name;
        if leads_on {
            if self.seen > depth {
                return Err(format!("`{}`, which holds the records, stands in it twice", element.name));
            }
            self.on_way += 1;
            self.seen = self.on_way;
        }
        self.open.push(element);
        Ok(())
    }

    /// Ends the innermost element.
    fn finish(&mut self, json: &mut Vec<u8>) -> Result<(), String> {
        let is_within_record = self.way.len() == self.on_way + 1
            && self.open.get(self.on_way).is_some_and(|element| element.name == self.way[self.on_way]);
        let Some(element) = self.open.pop() else { return Ok(()) };
        // Text of records is kept as it is; of a page that is converted as a whole nothing is known.
        let element = if is_within_record || self.way.is_empty() { element } else { element.trimmed() };
        let depth = self.open.len();
        if depth < self.on_way {
            self.on_way = depth;
            self.check_prefixes(&element, depth + 1)?;
            self.ended.push(element);
        } else if is_within_record && depth == self.on_way {
            self.begin_record(json);
            json.extend_from_slice(&element.into_json());
        } else if let Some(parent) = self.open.last_mut() {
            let name = element.name.clone();
            parent.add_child(&name, &element.into_json());
        } else {
            self.other_root = Some((element.name.clone(), element.into_json()));
        }
        Ok(())
    }

    /// Checks that what an element on the way holds, whose children have this depth, stands there under no other prefix: prefixes are free
    /// in XML, and a value that is missed so would look like an end.
    fn check_prefixes(&self, element: &XmlElement, depth: usize) -> Result<(), String> {
        let local = |name: &str| name.rsplit(':').next().unwrap_or_default().to_ascii_lowercase();
        for wanted in self.watched.iter().filter(|path| path.len() > depth && path[..depth] == self.way[..depth]) {
            let name = &wanted[depth];
            let is_on_way = self.way.get(depth) == Some(name);
            if !is_on_way && element.names().any(|other| other == name) {
                continue;
            }
            // RSS has `link` beside `atom:link`.
            let may_be_it = |other: &str| is_on_way || !name.contains(':') && other.contains(':');
            let mut others = element.names().filter(|other| other != name && local(other) == local(name));
            if let Some(other) = others.find(|other| may_be_it(other)) {
                return Err(format!("`{other}` stands where `{name}` is configured"));
            }
        }
        Ok(())
    }

    /// Writes what stands in front of a record.
    fn begin_record(&mut self, json: &mut Vec<u8>) {
        if self.records > 0 {
            json.push(b',');
        } else {
            for name in &self.way {
                json.extend_from_slice(format!("{{{}:", serde_json::Value::from(name.as_str())).as_bytes());
            }
            json.push(b'[');
        }
        self.records += 1;
    }

    fn end(self, at: u64, json: &mut Vec<u8>) -> Result<(), PageError> {
        if !self.open.is_empty() {
            return Err(bad_text(XML, at, format!("the text ends within `{}`", self.open[0].name)));
        }
        if self.ended.is_empty() && self.other_root.is_none() {
            return Err(PageError::EmptyPage("XML"));
        }
        // A list without elements is not there at all, which is an empty page where the configuration says so: but its parent has to be.
        if self.seen + 1 < self.way.len() && self.presence == Some(Presence::Optional) {
            return Err(self.no_parent());
        }
        let is_begun = self.records > 0;
        if is_begun {
            json.push(b']');
        }
        let mut inner: Option<(String, Vec<u8>)> = self.other_root;
        for mut element in self.ended {
            if is_begun {
                element.write_members(json);
                json.push(b'}');
                continue;
            }
            if let Some((name, json)) = inner.take() {
                element.add_child(&name, &json);
            }
            inner = Some((element.name.clone(), element.into_json()));
        }
        match inner {
            Some((name, root)) => {
                json.extend_from_slice(format!("{{{}:", serde_json::Value::from(name)).as_bytes());
                json.extend_from_slice(&root);
                json.push(b'}');
            }
            None => json.push(b'}'),
        }
        Ok(())
    }

    fn no_parent(&self) -> PageError {
        let names = |names: &[String]| Path::new(names.iter().cloned().map(Segment::Name).collect()).to_string();
        let parent = &self.way[..self.way.len() - 1];
        PageError::NoRecords {
            paths: format!("`{}`", names(&self.way)),
            arrays: format!("no element `{}`", names(parent)),
        }
    }
}

/// Refuses other encodings than UTF-8.
fn check_declaration(declaration: &str) -> Result<(), String> {
    for attribute in attributes(declaration, "xml".len()) {
        let (name, value) = attribute?;
        if name == "encoding" && !["utf-8", "us-ascii"].iter().any(|known| value.eq_ignore_ascii_case(known)) {
            return Err(format!("its encoding is {value}, and unpage reads UTF-8"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(way: &str, page: &str, piece: usize, presence: Presence) -> Result<String, PageError> {
        let paths = if way.is_empty() { Vec::new() } else { vec![way.parse().unwrap()] };
        let fields = ["a.m".parse().unwrap()];
        let mut xml = XmlText::new(&Records { paths, presence, ..Records::at(Path::root()) }, &fields);
        let mut json = Vec::new();
        page.as_bytes().chunks(piece).try_for_each(|piece| xml.feed(piece, &mut json))?;
        xml.end(&mut json)?;
        Ok(String::from_utf8(json).unwrap())
    }

    #[test]
    fn elements_are_values_by_their_names_in_pieces_of_any_size() {
        for (way, page, json) in [
            ("", "<a/>", r#"{"a":""}"#),
            ("", "<a b='1' c=\"&lt;&#x41;\n\"> x </a>", r##"{"a":{"@b":"1","@c":"<A ","#text":" x "}}"##),
            ("", "<a> x &amp; y\r\n<![CDATA[<z>]]></a>", r#"{"a":" x & y\n<z>"}"#),
            ("", "<a><b>1</b>\n<c/><b>2</b></a>", r#"{"a":{"b":["1","2"],"c":""}}"#),
            ("", "<a>\n in <b>1</b> out\n</a>", r##"{"a":{"b":"1","#text":"in  out"}}"##),
            ("", "<n:a xmlns:n='u'><n:b/></n:a>", r#"{"n:a":{"@xmlns:n":"u","n:b":""}}"#),
            (
                "a.r",
                "<?xml version='1.0' encoding='utf-8'?><a n='1'><m>no</m><r>1</r><r k='2'/><m/></a>\n<!-- -->",
                r#"{"a":{"r":["1",{"@k":"2"}],"@n":"1","m":["no",""]}}"#,
            ),
            ("a.b.r", "<a><c/><b><r/></b><r/></a>", r#"{"a":{"b":{"r":[""]},"c":"","r":""}}"#),
            ("a.r", "<a><m>no</m></a>", r#"{"a":{"m":"no"}}"#),
            ("a.b.r", "<a><b x='1'></b><m/></a>", r#"{"a":{"m":"","b":{"@x":"1"}}}"#),
            ("a.r", "<a><r><r>x</r></r></a>", r#"{"a":{"r":[{"r":"x"}]}}"#),
            ("a.r", "<a/>", r#"{"a":""}"#),
            (
                "a.r",
                "<a><m>\n no </m><r> 1 <k> 2</k></r><r> x </r></a>",
                r##"{"a":{"r":[{"k":" 2","#text":"1"}," x "],"m":"no"}}"##,
            ),
        ] {
            for piece in 1..=page.len() {
                assert_eq!(read(way, page, piece, Presence::Optional).unwrap(), json, "{page} by {piece}");
            }
        }
    }

    #[test]
    fn what_is_no_whole_document_is_an_error() {
        for (page, what) in [
            ("", "the page is empty"),
            ("<!-- -->", "the page is empty"),
            ("<a><r/>", "ends within `a`"),
            ("<a><r></a>", "`</a>` stands where `</r>` was expected"),
            ("<a/><a/>", "a second root element"),
            ("<a><r/></a>x", "ends within a tag or text"),
            ("<a><r/></a>x<!-- -->", "text stands outside"),
            ("x<a/>", "text stands outside"),
            ("<a><b>&nbsp;</b></a>", "a reference is none"),
            ("<a b='&xxe;'/>", "a reference is none"),
            ("<a b=1/>", "XML"),
            ("<a b='1' b='2'/>", "two attributes of a tag have the name b"),
            ("<1/>", "no name"),
            ("< a/>", "no name"),
            ("<?xml version='1.0' encoding='ISO-8859-1'?><a/>", "its encoding is ISO-8859-1"),
            ("<b><r/></b>", "no element `a`"),
            ("<!DOCTYPE html><html/>", "document type"),
        ] {
            for piece in [1, page.len().max(1)] {
                let told = read("a.r", page, piece, Presence::Optional).unwrap_err().to_string();
                assert!(told.contains(what), "{page}: {told}");
            }
        }
        for (way, page) in [
            ("a.r", "<a><x:r>1</x:r></a>"),
            ("a.r", "<a><r>1</r><x:r>1</x:r></a>"),
            ("a[\"x:r\"]", "<a><r>1</r></a>"),
            ("a.r", "<a><R>1</R></a>"),
            ("a.r", "<a><x:m>no</x:m><r>1</r></a>"),
        ] {
            let told = read(way, page, 3, Presence::Optional).unwrap_err().to_string();
            assert!(told.contains("is configured"), "{page}: {told}");
        }
        let twice = read("a.b.r", "<a><b><r/></b><b><r/></b></a>", 1, Presence::Required).unwrap_err().to_string();
        assert!(twice.contains("`b`, which holds the records, stands in it twice"), "{twice}");
        let deep = format!("{}{}", "<a>".repeat(200), "</a>".repeat(200));
        assert!(read("", &deep, 9, Presence::Required).unwrap_err().to_string().contains("nested more than 125 deep"));
    }
}
