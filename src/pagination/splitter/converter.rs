//! Formats of pages that are no JSON text: each is turned into one while the page arrives, so that all behind reads JSON.

use bytes::Bytes;

use super::csv_text::CsvText;
use super::line_texts::LineTexts;
use super::xml_text::XmlText;
use crate::pagination::{Encoding, PageError, Path, Records};

/// Converter of a page's text into JSON.
#[derive(Debug)]
pub(super) enum Converter {
    Lines(LineTexts),
    Xml(Box<XmlText>),
    Csv(Box<CsvText>),
}

/// Returns a whole page of this encoding as JSON.
///
/// # Errors
/// Fails where the page has another encoding.
pub(crate) fn as_json(encoding: Encoding, page: &Bytes) -> Result<Bytes, PageError> {
    let records = Records { encoding, ..Records::at(Path::root()) };
    let Some(mut converter) = Converter::new(&records, &[]) else { return Ok(page.clone()) };
    let mut json = Vec::new();
    converter.feed(page, &mut |piece| {
        json.extend_from_slice(piece);
        Ok(())
    })?;
    json.append(&mut converter.end()?);
    Ok(json.into())
}

impl Converter {
    /// Returns the converter of an encoding; `None` where pages are JSON.
    pub(super) fn new(records: &Records, fields: &[Path]) -> Option<Self> {
        match records.encoding {
            Encoding::None | Encoding::Base64 => None,
            Encoding::Lines => Some(Self::Lines(LineTexts::default())),
            Encoding::Xml => Some(Self::Xml(Box::new(XmlText::new(records, fields)))),
            Encoding::Csv(delimiter) => Some(Self::Csv(Box::new(CsvText::new(delimiter)))),
        }
    }

    /// Passes the JSON that the piece continues to `feed`.
    pub(super) fn feed(
        &mut self,
        piece: &[u8],
        feed: &mut dyn FnMut(&[u8]) -> Result<(), PageError>,
    ) -> Result<(), PageError> {
        let mut json = Vec::new();
        match self {
            Self::Lines(lines) => return lines.feed(piece, feed),
            Self::Xml(xml) => xml.feed(piece, &mut json)?,
            Self::Csv(csv) => csv.feed(piece, &mut json)?,
        }
        feed(&json)
    }

    /// Ends the page; returns the end of its JSON.
    pub(super) fn end(self) -> Result<Vec<u8>, PageError> {
        let mut json = Vec::new();
        match self {
            Self::Lines(lines) => json.extend_from_slice(lines.end()),
            Self::Xml(xml) => xml.end(&mut json)?,
            Self::Csv(csv) => csv.end(&mut json)?,
        }
        Ok(json)
    }

    /// Number of bytes in memory.
    pub(super) fn held_bytes(&self) -> usize {
        match self {
            Self::Lines(_) => 0,
            Self::Xml(xml) => xml.held_bytes(),
            Self::Csv(csv) => csv.held_bytes(),
        }
    }
}
