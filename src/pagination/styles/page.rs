//! Page number that grows by one.

use super::addressing::{Address, AddressContext, Addressing, PageAnswer, Start};
use super::config_keys::{KeyKind, KeyMistake, KeyNeed, StyleKey, StyleSchema, StyleValue, StyleValues};
use super::style_rules::{ReadStyle, StyleRules};
use super::template::Template;
use crate::pagination::error::PageError;
use crate::pagination::request::Param;
use crate::pagination::value_source::Source;

/// Pages with consecutive numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageNumber {
    pub param: Param,
    /// Number of the first page.
    pub start: u64,
    pub template: Option<Template>,
}

impl ReadStyle for PageNumber {
    const SCHEMA: StyleSchema = StyleSchema {
        name: "page",
        keys: &[
            StyleKey::TYPE,
            StyleKey::new("param", KeyKind::Param).with_need(KeyNeed::PARAM),
            StyleKey::new("start", KeyKind::Number { least: 0 }),
            StyleKey::new("template", KeyKind::Text),
            StyleKey::MORE,
            StyleKey::END,
        ],
    };

    fn read(values: &mut StyleValues, _: &mut Vec<KeyMistake>) -> Option<Self> {
        let start = values.number("start").unwrap_or(1);
        Some(Self { param: values.param("param")?, start, template: values.text("template").map(Template) })
    }
}

impl StyleRules for PageNumber {
    fn values(&self) -> StyleValues {
        let (param, start) = (StyleValue::Param(self.param.clone()), StyleValue::Number(self.start));
        let mut values = StyleValues::from([("param", param), ("start", start)]);
        values.put_some("template", self.template.as_ref().map(|template| StyleValue::Text(template.0.clone())));
        values
    }

    fn addressing(&self) -> Addressing {
        Addressing::PageNumber
    }

    fn params(&self) -> Vec<&Param> {
        vec![&self.param]
    }

    fn template(&self) -> Option<&Template> {
        self.template.as_ref()
    }

    fn placeholders(&self) -> &'static [&'static str] {
        &["page"]
    }

    fn first(&self, context: AddressContext<'_>) -> Result<(Address, Start), PageError> {
        context.first_numbered(&self.param, self.template.as_ref(), self.start, "page")
    }

    fn is_first_value(&self, _: &Param, text: &str) -> bool {
        text.trim().parse() == Ok(self.start)
    }

    fn next(&self, context: AddressContext<'_>, _: PageAnswer<'_>) -> Result<Option<Address>, PageError> {
        let number = context.number.saturating_add(1);
        context.numbered(&self.param, self.template.as_ref(), number, "page").map(Some)
    }

    fn predict(&self, context: AddressContext<'_>, number: u64) -> Option<Address> {
        context.numbered(&self.param, self.template.as_ref(), number, "page").ok()
    }

    fn start(&self) -> u64 {
        self.start
    }

    fn last_link(&self) -> Option<Source> {
        match (&self.param, &self.template) {
            (Param::Query(param), None) => Some(Source::LastLink { param: param.clone(), start: self.start }),
            _ => None,
        }
    }
}
