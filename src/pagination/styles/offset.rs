//! Record number that grows by the records that came, by the page size, or by a number in the page.

use super::addressing::{Address, AddressContext, Addressing, PageAnswer, Start};
use super::config_keys::{KeyKind, KeyMistake, KeyNeed, StyleKey, StyleSchema, StyleValue, StyleValues};
use super::style_rules::{ReadStyle, StyleRules};
use super::template::Template;
use crate::pagination::error::PageError;
use crate::pagination::path::Path;
use crate::pagination::request::Param;
use crate::pagination::value_source::Source;

/// Pages that begin with the record of a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offset {
    pub param: Param,
    /// Number of the first record.
    pub start: u64,
    pub step: Advance,
    pub template: Option<Template>,
}

/// Step from one offset to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advance {
    /// Number of records that came.
    Returned,
    /// Page size that was asked for.
    PageSize,
    /// Number in the page.
    Body(Path),
}

impl ReadStyle for Offset {
    const SCHEMA: StyleSchema = StyleSchema {
        name: "offset",
        keys: &[
            StyleKey::TYPE,
            StyleKey::new("param", KeyKind::Param).with_need(KeyNeed::PARAM),
            StyleKey::new("start", KeyKind::Number { least: 0 }),
            StyleKey::new("step", KeyKind::WordOrPath(&["returned", "page_size"])),
            StyleKey::new("template", KeyKind::Text),
            StyleKey::MORE,
            StyleKey::END,
        ],
    };

    fn read(values: &mut StyleValues, _: &mut Vec<KeyMistake>) -> Option<Self> {
        let step = values.take("step", |value| match value {
            StyleValue::Text(word) if word == "page_size" => Some(Advance::PageSize),
            StyleValue::Path(path) => Some(Advance::Body(path)),
            _ => None,
        });
        Some(Self {
            param: values.param("param")?,
            start: values.number("start").unwrap_or(0),
            step: step.unwrap_or(Advance::Returned),
            template: values.text("template").map(Template),
        })
    }
}

impl StyleRules for Offset {
    fn values(&self) -> StyleValues {
        let (param, start) = (StyleValue::Param(self.param.clone()), StyleValue::Number(self.start));
        let mut values = StyleValues::from([("param", param), ("start", start)]);
        match &self.step {
            Advance::Returned => {}
            Advance::PageSize => values.put("step", Some(StyleValue::Text("page_size".to_owned()))),
            Advance::Body(path) => values.put("step", Some(StyleValue::Path(path.clone()))),
        }
        values.put_some("template", self.template.as_ref().map(|template| StyleValue::Text(template.0.clone())));
        values
    }

    fn addressing(&self) -> Addressing {
        Addressing::RecordNumber
    }

    fn params(&self) -> Vec<&Param> {
        vec![&self.param]
    }

    fn template(&self) -> Option<&Template> {
        self.template.as_ref()
    }

    fn placeholders(&self) -> &'static [&'static str] {
        &["offset", "end_offset"]
    }

    fn fields(&self) -> Vec<&Path> {
        match &self.step {
            Advance::Body(path) => vec![path],
            Advance::Returned | Advance::PageSize => Vec::new(),
        }
    }

    fn first(&self, context: AddressContext<'_>) -> Result<(Address, Start), PageError> {
        context.first_numbered(&self.param, self.template.as_ref(), self.start, "offset")
    }

    fn is_first_value(&self, _: &Param, text: &str) -> bool {
        text.trim().parse() == Ok(self.start)
    }

    fn next(&self, context: AddressContext<'_>, answer: PageAnswer<'_>) -> Result<Option<Address>, PageError> {
        let step = match &self.step {
            Advance::Returned => answer.records,
            Advance::PageSize => context.size.unwrap_or(answer.records),
            Advance::Body(path) => {
                let source = Source::Body(path.clone());
                let step = source.number(answer.head, answer.fields)?.filter(|step| *step > 0);
                step.ok_or_else(|| PageError::NotANumber {
                    source_name: source.to_string(),
                    found: "nothing to advance by".to_owned(),
                })?
            }
        };
        let number = context.number.saturating_add(step);
        context.numbered(&self.param, self.template.as_ref(), number, "offset").map(Some)
    }

    fn predict(&self, context: AddressContext<'_>, number: u64) -> Option<Address> {
        context.numbered(&self.param, self.template.as_ref(), number, "offset").ok()
    }

    fn start(&self) -> u64 {
        self.start
    }

    fn advances_by_records(&self) -> bool {
        matches!(self.step, Advance::Returned | Advance::Body(_))
    }

    fn is_windowed(&self) -> bool {
        self.step == Advance::Returned
    }

    fn is_resizable(&self) -> bool {
        self.step == Advance::Returned && self.template.is_none()
    }

    fn advances_by_page_size(&self) -> bool {
        self.step == Advance::PageSize
    }
}
